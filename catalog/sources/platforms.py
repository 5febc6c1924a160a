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
    something is taken; a field with an empty list is not looked for under other names. ``cut`` are
    patterns whose match at a text's beginning is left out of it. ``only``: a row without this
    column is no video, nor one with these values in ``without``. ``day``: of rows with one id that
    with the newest of these is taken.
    Of a cell what ``cut`` matches is cut off; or where it has a group, that is taken.
    ``escaped``: titles hold HTML entities. ``youtube``: categories are YouTube's numbers.
    ``source`` says where the names come from.
    """

    name: str
    source: str
    signs: tuple[tuple[str, ...], ...]
    columns: Mapping[str, tuple[str, ...]]
    cut: Mapping[str, re.Pattern[str]] = field(default_factory=dict)
    only: str | None = None
    without: Mapping[str, frozenset[object]] = field(default_factory=dict)
    day: str | None = None
    escaped: bool = False
    youtube: bool = False


# Of an answer made flat, such as by pandas.
_SIZES: Final = tuple(
    f"snippet.thumbnails.{size}.url" for size in ("maxres", "standard", "high", "medium", "default")
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
        youtube=True,
    ),
    Platform(
        name="YouTube Data API, videos.list",
        source="the reference of YouTube's Data API v3",
        signs=(("snippet.title",),),
        columns={**_SNIPPET, "video_id": ("id",)},
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
        cut={"title": re.compile(r"Watched\s+"), "video_id": re.compile(r".*[?&]v=([^&#]+)")},
        only="titleUrl",
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
        without={"_type": frozenset({"playlist", "multi_video"})},
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
            "category": ("category.label", "category"),
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
        name="Jellyfin and Kodi (NFO)",
        source="the pages on NFO files of Kodi's wiki and Jellyfin's documentation",
        signs=(("nfo",),),
        columns={
            "video_id": ("uniqueid", "id"),
            "title": ("title",),
            "channel": ("studio", "artist", "showtitle"),
            "category": (),
            "tags": ("genre", "tag"),
            "published_at": ("premiered", "aired", "releasedate", "dateadded"),
            "duration_s": ("fileinfo.streamdetails.video.durationinseconds", "runtime"),
            "playlist": ("set.name", "set"),
            "thumbnail": ("file_name",),
            "thumbnail_url": (),
        },
        without={"nfo": frozenset({"tvshow", "season", "artist", "album", "set", "person"})},
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
