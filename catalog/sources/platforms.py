"""What platforms and their tools write, each told by its names and read by a table of names.

A row of ``PLATFORMS`` is all there is to one. ``docs/sources.md`` is made from them.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Platform:
    """How one platform names what a video has.

    ``signs``: where all columns of one of these are there, the source is the platform's; a column
    may be a path such as ``snippet.title``. ``columns`` are columns by field, the first that holds
    something is taken; a field with an empty list is not looked for under other names. Of a cell
    what ``cut`` matches at its beginning is cut off; or where a group of it matched, that is taken.
    ``only``: a row without this column is no video, nor one in which a column of ``kinds`` holds
    what its pattern does not match as a whole. ``day``: of rows with one id that with the newest of
    these is taken. ``escaped``: titles hold HTML entities. ``youtube``: categories are YouTube's
    numbers. ``source`` says where the names come from.
    """

    name: str
    source: str
    signs: tuple[tuple[str, ...], ...]
    columns: Mapping[str, tuple[str, ...]]
    cut: Mapping[str, re.Pattern[str]] = field(default_factory=dict)
    only: str | None = None
    kinds: Mapping[str, re.Pattern[str]] = field(default_factory=dict)
    day: str | None = None
    escaped: bool = False
    youtube: bool = False


# Of an answer made flat, such as by pandas.
_SIZES: Final = tuple(
    f"snippet.thumbnails.{size}.url" for size in ("maxres", "standard", "high", "medium", "default")
)


def _but(*values: str) -> re.Pattern[str]:
    """Return a pattern of everything but ``values``."""
    return re.compile(rf"(?!(?:{'|'.join(map(re.escape, values))})$).*", re.DOTALL)


# What Takeout says before and after a title, by language; where a title is an address, the video
# is not to be had any more.
_WATCHED: Final = (
    *("Watched", "Has visto", "Viste", "Vous avez regardé", "Hai guardato", "Assistiu a"),
    *(
        "Você assistiu a",
        "Obejrzano:",
        "Obejrzano",
        "Đã xem",
        "Je hebt gekeken naar",
        "Har sett på",
    ),
    *("Du har tittat på", "Du har sett", "Du har set", "Katsoit:", "Ditonton", "Telah menonton"),
    *("Смотрели", "Вы посмотрели видео", "Просмотрено видео", "观看了", "已觀看", "观看过"),
)
_WAS_WATCHED: Final = (
    *("angesehen", "bekeken", "を視聴しました", "을(를) 시청함", "을(를) 시청했습니다", "시청함"),
    *(
        "를 시청했습니다",
        "을 시청했습니다",
        "adlı videoyu izlediniz",
        "izlendi",
        "को देखा",
        "已观看",
        "觀看過",
    ),
)
_TITLE_WATCHED: Final = re.compile(
    rf"(.+?)\s*(?:{'|'.join(map(re.escape, _WAS_WATCHED))})$"
    rf"|(?:{'|'.join(map(re.escape, _WATCHED))})\s+(.+)",
    re.DOTALL,
)

_SNIPPET: Final = {
    "title": ("snippet.title",),
    "channel": ("snippet.videoOwnerChannelTitle", "snippet.channelTitle"),
    "channel_id": ("snippet.videoOwnerChannelId", "snippet.channelId"),
    "published_at": ("contentDetails.videoPublishedAt", "snippet.publishedAt"),
    "thumbnail": (),
    "thumbnail_url": ("snippet.thumbnails", *_SIZES),
    "category": ("snippet.categoryId",),
    "language": ("snippet.defaultAudioLanguage", "snippet.defaultLanguage"),
    "tags": ("snippet.tags",),
    "duration_s": ("contentDetails.duration",),
    "view_count": ("statistics.viewCount",),
    "like_count": ("statistics.likeCount",),
}

PLATFORMS: Final = (
    Platform(
        name="YouTube Data API, search.list",
        source="the reference of YouTube's Data API v3",
        signs=(("snippet.title", "id.kind"), ("snippet.title", "id.videoId")),
        columns={**_SNIPPET, "video_id": ("id.videoId",)},
        only="id.videoId",
        escaped=True,
        youtube=True,
    ),
    Platform(
        name="YouTube Data API, playlistItems.list",
        source="the reference of YouTube's Data API v3",
        signs=(("snippet.title", "snippet.resourceId.videoId"),),
        columns={**_SNIPPET, "video_id": ("snippet.resourceId.videoId",)},
        only="snippet.resourceId.videoId",
        kinds={"snippet.title": _but("Private video", "Deleted video")},
        youtube=True,
    ),
    Platform(
        name="YouTube Data API, videos.list",
        source="the reference of YouTube's Data API v3",
        signs=(("snippet.title",),),
        columns={**_SNIPPET, "video_id": ("id",)},
        kinds={"kind": re.compile("youtube#video")},
        youtube=True,
    ),
    Platform(
        name="Kaggle's trending YouTube videos",
        source="the public data sets youtube-new and youtube-trending-video-dataset",
        signs=(("video_id", "title", "trending_date"),),
        columns={
            "video_id": ("video_id",),
            "thumbnail": (),
            "thumbnail_url": ("thumbnail_link",),
            "channel": ("channel_title", "channelTitle"),
            "channel_id": ("channelId",),
            "category": ("category_id", "categoryId"),
            "published_at": ("publish_time", "publishedAt"),
            "view_count": ("views", "view_count"),
            "like_count": ("likes",),
        },
        day="trending_date",
        youtube=True,
    ),
    Platform(
        name="Google Takeout, a channel's videos",
        source="Takeout's files videos.csv as people show them",
        signs=(("Video ID", "Video Title (Original)"),),
        columns={
            "video_id": ("Video ID",),
            "title": ("Video Title (Original)",),
            "duration_s": ("Approx Duration (ms)",),
            "category": ("Video Category",),
            "language": ("Video Language", "Video Audio Language"),
            "channel_id": ("Channel ID",),
            "published_at": ("Video Publish Timestamp", "Video Create Timestamp"),
        },
    ),
    Platform(
        name="Google Takeout, what was watched",
        source="Takeout's file watch-history.json as people show it",
        signs=(("header", "title", "titleUrl", "time"),),
        columns={
            "video_id": ("titleUrl",),
            "title": ("title",),
            "url": ("titleUrl",),
            "channel": ("subtitles",),
            "published_at": (),
        },
        cut={
            "title": _TITLE_WATCHED,
            "video_id": re.compile(r".*(?:[?&]v=|/shorts/|//youtu\.be/)([^&#?/]+)"),
        },
        only="titleUrl",
        # Posts and searches stand among them, and videos that are gone, by their address.
        kinds={
            "titleUrl": re.compile(r".*(?:[?&]v=|/shorts/|//youtu\.be/)[^&#?/]+.*"),
            "title": re.compile(
                r"(?!.*https://(?:www|music)\.youtube\.com/watch\?v=).*", re.DOTALL
            ),
        },
        day="time",
    ),
    Platform(
        name="yt-dlp",
        source="the fields that yt-dlp's readme lists",
        signs=(("extractor_key",), ("extractor",), ("ie_key", "url"), ("_type", "webpage_url")),
        columns={
            "video_id": ("id",),
            "title": ("title", "fulltitle"),
            "channel": ("channel", "uploader", "creator"),
            "channel_id": ("channel_id", "uploader_id"),
            "category": ("categories", "genre"),
            "language": ("language",),
            "published_at": ("timestamp", "upload_date", "release_timestamp", "release_date"),
            "duration_s": ("duration", "duration_string"),
            "view_count": ("view_count",),
            "like_count": ("like_count",),
            "playlist": ("playlist_title", "playlist"),
            "chapters": ("chapters",),
            "url": ("webpage_url", "original_url", "url"),
            "thumbnail": ("file_name",),
            "thumbnail_url": ("thumbnail", "thumbnails"),
        },
        kinds={
            "_type": _but("playlist", "multi_video"),
            # What stands in a playlist that was not looked into.
            "title": _but("[Private video]", "[Deleted video]", "[Unavailable video]"),
        },
    ),
    Platform(
        name="PeerTube",
        source="the OpenAPI document of PeerTube's REST API",
        signs=(("name", "thumbnailPath"), ("name", "shortUUID"), ("name", "previewPath")),
        columns={
            "video_id": ("uuid", "id"),
            "title": ("name",),
            "channel": ("channel.displayName", "channel.name", "account.displayName"),
            "channel_id": ("channel.name", "channel.id"),
            "category": ("category", "category.label"),
            "language": ("language.id", "language"),
            "published_at": ("originallyPublishedAt", "publishedAt", "createdAt"),
            "duration_s": ("duration",),
            "view_count": ("views",),
            "like_count": ("likes",),
            "url": ("url",),
            "embed_url": ("embedUrl",),
            "thumbnail": (),
            "thumbnail_url": ("thumbnailUrl", "thumbnails"),
        },
    ),
    Platform(
        name="Invidious and FreeTube",
        source="the documentation of Invidious' API, FreeTube's data files as people show them",
        signs=(("videoId", "title", "authorId"),),
        columns={
            "video_id": ("videoId",),
            "title": ("title",),
            "channel": ("author",),
            "channel_id": ("authorId",),
            "category": ("genre",),
            "published_at": ("published",),
            "duration_s": ("lengthSeconds",),
            "view_count": ("viewCount",),
            "like_count": ("likeCount",),
            "thumbnail": (),
            "thumbnail_url": ("videoThumbnails",),
        },
        # FreeTube's files are NeDB's: what was deleted is a line more.
        kinds={"type": _but("channel", "playlist", "hashtag"), "$$deleted": re.compile("False")},
        day="timeWatched",
    ),
    Platform(
        name="Vimeo",
        source="the reference of Vimeo's API",
        signs=(("uri", "name", "link"), ("name", "link", "player_embed_url")),
        columns={
            "video_id": ("uri", "id"),
            "title": ("name",),
            "channel": ("user.name",),
            "channel_id": ("user.resource_key",),
            "category": ("categories",),
            "language": ("language",),
            "published_at": ("release_time", "created_time"),
            "duration_s": ("duration",),
            "view_count": ("stats.plays",),
            "like_count": ("metadata.connections.likes.total",),
            "url": ("link",),
            "embed_url": ("player_embed_url",),
            "thumbnail": (),
            "thumbnail_url": ("pictures",),
        },
        cut={"video_id": re.compile(r".*/")},
    ),
    Platform(
        name="MediaCMS",
        source="the serializers of MediaCMS's REST API",
        signs=(("friendly_token", "title"),),
        columns={
            "video_id": ("friendly_token",),
            "title": ("title",),
            "channel": ("author_name", "user"),
            "category": ("categories_info",),
            "tags": ("tags_info", "tags"),
            "published_at": ("add_date",),
            "duration_s": ("duration",),
            "view_count": ("views",),
            "like_count": ("likes",),
            "url": ("url",),
            "thumbnail": (),
            "thumbnail_url": ("thumbnail_url", "poster_url"),
        },
    ),
    Platform(
        name="YouTube Studio, advanced mode",
        source="Table data.csv of its exports as people show them",
        signs=(("Content", "Video title"),),
        columns={
            "video_id": ("Content",),
            "title": ("Video title",),
            "published_at": ("Video publish time",),
            "duration_s": ("Duration",),
            "view_count": ("Views",),
        },
        kinds={"Content": _but("Total")},
    ),
    Platform(
        name="Dailymotion",
        source="the reference of Dailymotion's API",
        signs=tuple(
            ("title", name)
            for name in (
                "owner.screenname",
                "views_total",
                "thumbnail_720_url",
                "thumbnail_360_url",
            )
        ),
        columns={
            "video_id": ("id",),
            "title": ("title",),
            "channel": ("owner.screenname", "owner.username"),
            "channel_id": ("owner.id", "owner"),
            "category": ("channel.name", "channel"),
            "published_at": ("created_time",),
            "view_count": ("views_total",),
            "like_count": ("likes_total",),
            "thumbnail": (),
            "thumbnail_url": tuple(
                f"thumbnail_{name}url" for name in ("1080_", "720_", "480_", "360_", "240_", "")
            ),
        },
    ),
    Platform(
        name="WordPress",
        source="the handbook of WordPress' REST API",
        signs=(("title.rendered", "link"),),
        columns={
            "video_id": ("id",),
            "title": ("title.rendered",),
            "published_at": ("date_gmt", "date"),
            "category": (),
            "tags": (),
            "channel": (),
            "url": ("link",),
            "thumbnail_url": ("jetpack_featured_media_url",),
        },
        escaped=True,
    ),
    # Their lengths are in units of their own, which nothing in the column says: left empty.
    Platform(
        name="Jellyfin and Emby (API)",
        source="the OpenAPI document of Jellyfin's API",
        signs=(("Name", "Id", "RunTimeTicks"), ("Name", "Id", "ServerId")),
        columns={
            "video_id": ("Id",),
            "title": ("Name",),
            "channel": ("SeriesStudio", "Studios"),
            "tags": ("Genres", "Tags"),
            "published_at": ("PremiereDate",),
            "playlist": ("SeriesName",),
            "duration_s": (),
            "thumbnail": (),
        },
        kinds={"Type": re.compile("Movie|Episode|Video|MusicVideo|Trailer|Recording")},
    ),
    Platform(
        name="Plex (API)",
        source="what its API answers, as people show it",
        signs=(("ratingKey", "title"),),
        columns={
            "video_id": ("ratingKey",),
            "channel": ("studio",),
            "tags": ("Genre",),
            "published_at": ("originallyAvailableAt",),
            "playlist": ("grandparentTitle",),
            "duration_s": (),
            "thumbnail": (),
        },
        kinds={"type": re.compile("movie|episode|clip|video")},
    ),
    Platform(
        name="Piped",
        source="the documentation of Piped's API",
        signs=(("title", "url", "uploaderName"),),
        columns={
            "video_id": ("url",),
            "title": ("title",),
            "channel": ("uploaderName",),
            "channel_id": ("uploaderUrl",),
            "published_at": ("uploaded",),
            "view_count": ("views",),
            "url": (),
        },
        cut={"video_id": re.compile(r".*[?&]v="), "channel_id": re.compile(r".*/")},
        kinds={"type": _but("channel", "playlist")},
    ),
    Platform(
        name="IMDb",
        source="the page of IMDb's non-commercial data sets",
        signs=(("tconst", "primaryTitle"),),
        columns={
            "video_id": ("tconst",),
            "title": ("primaryTitle",),
            "category": (),
            "tags": ("genres",),
            "duration_s": ("runtimeMinutes",),
        },
    ),
    Platform(
        name="Letterboxd",
        source="the files of its export as people show them",
        signs=(("Name", "Letterboxd URI"),),
        columns={
            "video_id": ("Letterboxd URI",),
            "title": ("Name",),
            "url": ("Letterboxd URI",),
            "published_at": (),
        },
        cut={"video_id": re.compile(r".*/(?=.)")},
    ),
    Platform(
        name="img2dataset and LAION",
        source="the readme of img2dataset, which is given addresses of pictures and their captions",
        signs=(("key", "caption", "status"), ("key", "caption", "url"), ("URL", "TEXT")),
        columns={
            "video_id": ("id", "key"),
            "title": ("caption", "TEXT"),
            "thumbnail": ("file_name", "jpg", "png", "webp"),
            "thumbnail_url": ("url", "URL"),
            "url": (),
        },
    ),
    Platform(
        name="Jellyfin and Kodi (NFO)",
        source="the pages on NFO files of Kodi's wiki and Jellyfin's documentation",
        signs=(("nfo",),),
        columns={
            "video_id": ("uniqueid", "id"),
            "title": ("title", "originaltitle"),
            "channel": ("studio", "artist", "showtitle"),
            "category": (),
            "tags": ("genre", "tag"),
            "published_at": ("premiered", "aired", "releasedate", "dateadded"),
            "duration_s": ("fileinfo.streamdetails.video.durationinseconds", "runtime"),
            "playlist": ("set.name", "set"),
            "thumbnail": ("file_name",),
            "thumbnail_url": ("thumb",),
        },
        kinds={"nfo": _but("tvshow", "season", "artist", "album", "set", "person")},
    ),
)

#: YouTube's categories, which its API gives as numbers. Source: ``videoCategories.list``.
YOUTUBE_CATEGORIES: Final[Mapping[str, str]] = {
    "1": "Film & Animation",
    "2": "Autos & Vehicles",
    "10": "Music",
    "15": "Pets & Animals",
    "17": "Sports",
    "18": "Short Movies",
    "19": "Travel & Events",
    "20": "Gaming",
    "21": "Videoblogging",
    "22": "People & Blogs",
    "23": "Comedy",
    "24": "Entertainment",
    "25": "News & Politics",
    "26": "Howto & Style",
    "27": "Education",
    "28": "Science & Technology",
    "29": "Nonprofits & Activism",
    "30": "Movies",
    "31": "Anime/Animation",
    "32": "Action/Adventure",
    "33": "Classics",
    "34": "Comedy",
    "35": "Documentary",
    "36": "Drama",
    "37": "Family",
    "38": "Foreign",
    "39": "Horror",
    "40": "Sci-Fi/Fantasy",
    "41": "Thriller",
    "42": "Shorts",
    "43": "Shows",
    "44": "Trailers",
}


def find_platform(names: Collection[str]) -> Platform | None:
    """Return whose names these are, or None."""
    there = set(names)
    for platform in PLATFORMS:
        if any(there.issuperset(sign) for sign in platform.signs):
            return platform
    return None
