"""How programs, spreadsheets and people write values, by kind of field; and what each means.

``READ`` are those that a person reads without doubt, ``DOUBTFUL`` those that may be two things or
none: they are left empty and noted.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Final

DAY = datetime(2023, 11, 5, tzinfo=UTC)
TEN = DAY.replace(hour=10)
EVENING = DAY.replace(hour=22, minute=4, second=9)
SECONDS = 1699178400  # TEN
_SHORT = datetime(2024, 3, 1, tzinfo=UTC)
_LATE = datetime(2023, 11, 25, tzinfo=UTC)

READ: Final[dict[str, list[tuple[object, list[object]]]]] = {
    "date": [
        (
            DAY,
            [
                *("2023-11-05", "20231105", 20231105, 20231105.0, "20231105.0", "2023/11/05"),
                *("2023.11.05", "2023-11-5", "2023/11/5", "Nov 5, 2023", "November 5, 2023"),
                *("5 Nov 2023", "5 November 2023", "05-Nov-2023", "05 Nov 2023", "5-NOV-2023"),
                *("November 5th, 2023", "Nov. 5, 2023", "5th of November 2023", "Nov 5 2023"),
                *("5. November 2023", "5 novembre 2023", "5 de noviembre de 2023", "05.11.2023"),
                *("5 de novembro de 2023", "Sunday, November 5, 2023", "Sun, 5 Nov 2023"),
                *("2023年11月5日", "2023년 11월 5일", "Published on Nov 5, 2023", "2023-Nov-05"),
                *("Premiered Nov 5, 2023", "Streamed live on Nov 5, 2023", "20231105000000"),
                *("2023-11-05T00:00:00", "2023-11-05 00:00", "2023-11-05T00:00:00.000Z"),
                *(date(2023, 11, 5), datetime(2023, 11, 5), " 2023-11-05 ", "'2023-11-05"),  # noqa: DTZ001
                *({"$date": "2023-11-05T00:00:00Z"}, Decimal(20231105), "２０２３-１１-０５"),
                *("Timestamp('2023-11-05 00:00:00')", "numpy.datetime64('2023-11-05')"),
                *("5.11.2023", "2023-11-05T00:00+00:00"),
            ],
        ),
        (
            TEN,
            [
                *("2023-11-05T10:00:00Z", "2023-11-05 10:00:00", "2023-11-05 10:00:00 UTC"),
                *("2023-11-05 10:00:00+00:00", "2023-11-05 10:00:00 +0000", "2023-11-05T10:00Z"),
                *(
                    "2023-11-05 10:00:00 +0000 UTC",
                    "2023-11-05T10:00:00.000000Z",
                    "20231105T100000",
                ),
                *(
                    "2023-11-05T11:00:00+01:00",
                    "2023-11-05 05:00:00 EST",
                    "2023-11-05 10:00:00 GMT",
                ),
                *("Sun, 05 Nov 2023 10:00:00 GMT", "Sun, 05 Nov 2023 10:00:00 +0000"),
                *("Sun Nov  5 10:00:00 2023", "Sun Nov 05 10:00:00 +0000 2023"),
                *("Sun Nov 05 2023 11:00:00 GMT+0100 (Central European Standard Time)",),
                *("Nov 5, 2023, 10:00:00 AM UTC", "Nov 5, 2023, 10:00:00\u202fAM UTC"),
                *("2023/11/05 10:00", "2023/11/05 10:00:00", "Nov 5, 2023 10:00 AM"),
                *(SECONDS, str(SECONDS), float(SECONDS), f"{SECONDS}.0", SECONDS * 1000),
                *(str(SECONDS * 1000), SECONDS * 10**6, SECONDS * 10**9, float(SECONDS * 1000)),
                *("1.6991784e9", "1.6991784E+09", Decimal(SECONDS), "20231105100000"),
                *(f"/Date({SECONDS}000)/", {"$date": {"$numberLong": f"{SECONDS}000"}}),
                *({"seconds": SECONDS, "nanos": 0}, 202311051000, "5 Nov 2023 at 10:00"),
                *("5.11.2023 10:00", TEN),
                *(TEN.astimezone(timezone(timedelta(hours=9))), "2023年11月5日 10:00"),
            ],
        ),
        (EVENING, ["Nov 5, 2023, 10:04:09 PM UTC", "2023-11-05 22:04:09", "20231105220409"]),
        (_LATE, ["25/11/2023", "11/25/2023", "25-11-2023", "25.11.2023", "11-25-2023"]),
        (_SHORT, ["1 Mar 2024", "1. März 2024", "1er mars 2024", "Mar 1, 2024", "1 maart 2024"]),
        (
            DAY.replace(month=5),
            ["05/05/2023", "5/5/2023", "05-05-2023", "May 5, 2023", "5 May 2023"],
        ),
    ],
    "count": [
        (
            1234567,
            [
                *("1234567", "1,234,567", "1 234 567", "1.234.567", "1'234'567", "1’234’567"),
                *("1\xa0234\xa0567", "1\u202f234\u202f567", "1_234_567", "1,234,567 views"),
                *("1234567 views", "1,234,567 plays", "12,34,567", "1234567.0", "1,234,567.0"),
                *(1234567, 1234567.0, "1.234567e6", "1.234567E+06", "1.234567M", " 1234567 "),
                *(Decimal(1234567), "+1234567", "１２３４５６７", "١٢٣٤٥٦٧", "१२३४५६७"),
                *({"count": 1234567}, {"simpleText": "1,234,567 views"}, "1.234.567 Aufrufe"),
                *("1 234 567 vues", "1 234 567 просмотров", "'1234567", {"$numberLong": "1234567"}),
            ],
        ),
        (
            1_200_000,
            [
                *(
                    "1.2M",
                    "1.2M views",
                    "1.2 M",
                    "1.2m",
                    "1,2 Mio.",
                    "1,2 Mio. Aufrufe",
                    "1.2 million",
                ),
                *("1.2 million views", "12 lakh", "1,2 M", "120万", "120万回視聴"),
                *("1200K", "1200k views", "1.2 mln", "0.12 crore", "1.20M"),
            ],
        ),
        (2_500, ["2.5K", "2.5k", "2.5K views", "2,5K", "2.5 thousand", "2500", "2,500", "2 500"]),
        (3 * 10**9, ["3B", "3B views", "3 billion", "30億", "3000M", "3 bn"]),
        (1, ["1", "1 view", "1 like", "1 time", 1, 1.0]),
        (0, ["0", "No views", "0 views", 0, 0.0, "0.0"]),
    ],
    "duration": [
        (
            754.0,
            [
                *("12:34", "0:12:34", "00:12:34", "PT12M34S", "754", 754, 754.0, "754.0", "754 s"),
                *(
                    "754s",
                    "12m34s",
                    "12m 34s",
                    "12 min 34 s",
                    "12 minutes 34 seconds",
                    "P0DT0H12M34S",
                ),
                *("12 min, 34 sec", "12 minutes, 34 seconds", "12 minutes and 34 seconds"),
                *("12′34″", "12'34\"", "12' 34''", "0 days 00:12:34", "0 days 00:12:34.000000"),
                *("754000 ms", "PT754S", "00:12:34.000", "00:12:34,000", timedelta(seconds=754)),
                *(time(0, 12, 34), Decimal(754), "754 seconds", "754 sec", "12 Min. 34 Sek."),
                *("12分34秒", {"simpleText": "12:34"}, "pt12m34s", " 12:34 ", "7.54e2"),
            ],
        ),
        (
            3723.0,
            [
                *(
                    "1:02:03",
                    "01:02:03",
                    "PT1H2M3S",
                    "1h2m3s",
                    "1h 2m 3s",
                    "1 h 2 min 3 s",
                    "62:03",
                ),
                *("1 hour 2 minutes 3 seconds", "1 hr 2 min 3 sec", "1 hour, 2 minutes, 3 seconds"),
                *("3,723.0", "3723", timedelta(hours=1, minutes=2, seconds=3), "1時間2分3秒"),
            ],
        ),
        (
            5400.0,
            ["1.5h", "90 min", "90m", "90:00", "PT90M", "1.5 hours", "1h30m", "1:30:00", "PT1.5H"],
        ),
        (7200.0, ["120:00", "2h", "2 hours", "PT2H", "120 minutes"]),
        (93784.0, ["1 day, 2:03:04", "1 days 02:03:04", "P1DT2H3M4S", "1d 2h 3m 4s"]),
        (61.5, ["61.5", "61,5", 61.5, "1:01.5", "PT1M1.5S", "61.5 s", "00:01:01.500"]),
        (0.0, ["0", "0:00", "PT0S", 0]),
    ],
    "tags": [
        (
            ("cricket", "kandy", "final"),
            [
                *("['cricket' 'kandy' 'final']", "['cricket', 'kandy', 'final']"),
                *('["cricket", "kandy", "final"]', '["cricket" "kandy" "final"]'),
                *("('cricket', 'kandy', 'final')", "['cricket'\n 'kandy'\n 'final']"),
                *("array(['cricket', 'kandy', 'final'], dtype=object)", "{cricket,kandy,final}"),
                *('{"cricket","kandy","final"}', "cricket|kandy|final", 'cricket|"kandy"|"final"'),
                *("cricket,kandy,final", "cricket, kandy, final", "cricket;kandy;final"),
                *(
                    "cricket\nkandy\nfinal",
                    "[cricket, kandy, final]",
                    ["cricket", "kandy", "final"],
                ),
                *(("cricket", "kandy", "final"), "['cricket' 'kandy', 'final']"),
                *([{"name": "cricket"}, {"tag": "kandy"}, {"label": "final"}],),
                *('"cricket","kandy","final"', "cricket、kandy、final", "cricket，kandy，final"),
                *("['cricket', None, 'kandy', 'final']", "['cricket', nan, 'kandy', 'final']"),
                *(
                    ["cricket", None, float("nan"), "kandy", "final"],
                    "['cricket' 'kandy' 'final' ]",
                ),
                *("np.array(['cricket', 'kandy', 'final'])", "(cricket, kandy, final)"),
                *("frozenset({'cricket', 'kandy', 'final'})", " cricket , kandy , final "),
            ],
        ),
        (("a", "b"), ["#a #b", "#a, #b"]),
        (("it's", 'say "x"'), ["""["it's" 'say "x"']""", """["it's", 'say "x"']"""]),
        (("two words", "one"), ["['two words' 'one']", '{"two words",one}', "two words|one"]),
        (("1", "2", "3"), ["[1 2 3]", "[1, 2, 3]", [1, 2, 3]]),
        ((), ["[]", "", "[none]", "{}", "()", "None", [], "array([], dtype=object)"]),
    ],
    "text": [
        ("Music", ["Music", " Music ", {"id": 10, "label": "Music"}, {"name": "Music"}, ["Music"]]),
        (
            "Makers",
            [
                {"name": "makers", "displayName": "Makers"},
                b"Makers",
                {"runs": [{"text": "Makers"}]},
            ],
        ),
        ("24", [24, 24.0, "24", Decimal(24)]),
    ],
    "url": [
        (
            "https://www.video.example/watch?v=a&b=c",
            [
                *("https://www.video.example/watch?v=a&b=c", "www.video.example/watch?v=a&b=c"),
                *(
                    "//www.video.example/watch?v=a&b=c",
                    "https://www.video.example/watch?v=a&amp;b=c",
                ),
                *("<https://www.video.example/watch?v=a&b=c>",),
                *('=HYPERLINK("https://www.video.example/watch?v=a&b=c", "watch")',),
                *({"url": "https://www.video.example/watch?v=a&b=c"},),
            ],
        ),
        ("https://youtu.be/x", ["youtu.be/x", "https://youtu.be/x"]),
    ],
}
DOUBTFUL: Final[dict[str, list[object]]] = {
    "date": [
        *(
            "03/04/2023",
            "10/03/2024 18:05",
            "3-4-2023",
            "2023",
            2023,
            2023.0,
            "2023-11",
            "yesterday",
        ),
        *("5 years ago", "23.07.25", "17.14.11", "5-Nov-23", 45235, "45235", 0, "0", -1, "soon"),
        *("31/02/2023", "2023-13-01", "Foo 5, 2023", "5 Nov 2023 10:00 IST", 1e20, "12:34", True),
        *("11/2023", "2023-11-05 25:00", "0000", 99999999, "Nov 2023", [1, 2], {"a": 1}),
    ],
    "count": [
        *("1.234", "1,23", "12,34", "1,234K", "1.5", "many", "LIVE", "-1", "1K+", "3 days"),
        *("1.2M of 3M", "12-13", "0x10", "1e400", True, "inf", "1 2 3", "1,2,3", {"a": 1}, [1, 2]),
    ],
    "duration": [
        *("LIVE", "1,500", "4:75", "1:75:00", "4:1:1:1", "-4", "P1Y", "long", "3 views", "12:3"),
        *("10 m 2 h", "5 parsecs", True, "inf", "P", "PT", [1, 2], "1h 2h", {"a": 1}),
    ],
    "tags": ["['a' 'b' ... 'y' 'z']", '{"a": 1}', 3, [["a", "b"]], True],
    "text": [True, ["Music", "Live"], {"a": 1}, [{"a": 1}], float("inf")],
    "url": ["/watch?v=c4", "javascript:alert(1)", "watch", "ftp://a/b", "a.jpg", 3],
}
NO_VALUES: Final = (
    *("NA", "N/A", "\\N", "null", "None", "NaN", "NaT", "-", "0000-00-00", "", " ", "nan", "NULL"),
    *("<NA>", "#N/A", "none", "n/a", "0000-00-00 00:00:00", None, float("nan"), [], {}),
)
