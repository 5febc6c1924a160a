"""More spellings: of languages of large sites, of databases, and of what programs print.

Of the same form as those of ``spellings``.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final

from tests.catalog.spellings import DAY, EVENING, TEN
from twinlens.catalog.sources.numbers import InUnit

MS, MINUTES, HOURS = Decimal("0.001"), Decimal(60), Decimal(3600)


def day(month: int, day: int) -> datetime:
    return datetime(2023, month, day, tzinfo=UTC)


READ: Final[dict[str, list[tuple[object, list[object]]]]] = {
    "count": [
        (
            1_200_000,
            [
                *("1,2 M de vues", "1.2M de visualizaciones", "1,2 mi de visualizações"),
                *("1,2 Mln di visualizzazioni", "1,2 mln wyświetleń", "1,2 млн просмотров"),
                *("1,2 млн переглядів", "1,2 Mn görüntüleme", "1,2 jt x ditonton", "120万次观看"),
                *("1,2 Tr lượt xem", "觀看次數：120萬次", "120万 回視聴", "조회수 120만회"),
                *("1.2 مليون مشاهدة", "12 लाख व्यूज़", "การดู 1.2 ล้าน ครั้ง", "1.2M צפיות"),
                *("1,2 mn visningar", "1,2 mill. visninger", "1,2 milj. katselukertaa"),
                *("1,2 mil. zhlédnutí", "1,2 mil. vizionări", "1,2 M megtekintés"),
                *("1,2 εκ. προβολές", "1.2J tontonan", "Views: 1,200,000", "再生回数 120万回"),
                *("Aufrufe: 1.200.000", "1200 тыс. просмотров", "1 200 000 vues"),
            ],
        ),
        (
            12_000,
            [
                *("조회수 1.2만회", "12 mil vistas", "12 mil visualizações", "12 B görüntüleme"),
                *("12 E megtekintés", "12 N lượt xem", "12 rb x ditonton", "12 tys. wyświetleń"),
                *(
                    "12 тыс. просмотров",
                    "12 тис. переглядів",
                    "1.2万回視聴",
                    "1.2萬次",
                    "12 K vues",
                ),
                *("12 t. katselukertaa", "12 tn visningar", "12 Tsd. Aufrufe", "12.000 Aufrufe"),
                *("12.000 visualizzazioni", "12 हज़ार व्यूज़", "1.2 หมื่น ครั้ง", "12 ألف مشاهدة"),
                *("12 bin izlenme", "12 ribu", "12 χιλ. προβολές"),
            ],
        ),
        (120_000_000, ["1億2000万", "1亿2000万", "1억 2,000만회", "1.2億", "12 crore"]),
        (30_000_000, ["3千万", "3천만", "3,000万回"]),
        (
            1234,
            [
                *("1.234 Aufrufe", "1.234 vistas", "1\xa0234 просмотра", "1’234 Aufrufe", "1٬234"),
                *("1234 lượt xem", "\u200e1,234", {"value": 1234, "unit": "views"}),
                *({"$numberInt": "1234"}, {"$numberDouble": "1234.0"}, {"N": "1234"}),
                *({"integerValue": "1234"}, {"userInteractionCount": 1234}),
                [
                    {"interactionType": "http://schema.org/LikeAction", "userInteractionCount": 5},
                    {
                        "interactionType": {"@type": "http://schema.org/WatchAction"},
                        "userInteractionCount": "1234",
                    },
                ],
            ],
        ),
        (1_234_567, ["1 234 567,00", "1.234.567,00", "1,234,567.00"]),
        (0, ["Keine Aufrufe", "Aucune vue", "Нет просмотров"]),
        (None, [{"interactionType": {"@type": "LikeAction"}, "userInteractionCount": 5}]),
    ],
    "duration": [
        (
            754.0,
            [
                *("12’34”", "12:34 min", "12m34", "12m:34s", "Duration: 12:34", "00:12:34.0000000"),
                *("12 Minuten und 34 Sekunden", "12 minutes et 34 secondes", "12 mn 34"),
                *("12 minutos y 34 segundos", "12 minutos e 34 segundos", "12 minuti e 34 secondi"),
                *("12 minuten en 34 seconden", "12 minut 34 sekundy", "12 минут 34 секунды"),
                *("12 dakika 34 saniye", "12 menit 34 detik", "12 phút, 34 giây", "12 分 34 秒"),
                *("12분 34초", "12分钟34秒", "12 मिनट और 34 सेकंड", "12 minuter och 34 sekunder"),
                *("12 minutter og 34 sekunder", "12 minuuttia ja 34 sekuntia"),
                *("12 perc és 34 másodperc", "12 นาที 34 วินาที", "12 λεπτά και 34 δευτ."),
                *("PT0H12M34S", "P0Y0M0DT0H12M34S", "754,000 ms", "754 000 ms"),
                *({"minutes": 12, "seconds": 34}, {"seconds": "754", "nanos": 0}),
                *({"value": 754, "unit": "seconds"}, {"$numberDouble": "754"}),
                {"TotalSeconds": 754, "Minutes": 12, "Seconds": 34},
                *(InUnit("754,000", MS), InUnit("7.54e5", MS), InUnit("12:34", MINUTES)),
            ],
        ),
        (
            5400.0,
            [
                *("1h30", "1 h 30", "1h30min", "1 heure 30", "1 heure 30 minutes", "1:30 h"),
                *("1 Std. 30 Min.", "1 uur 30 min", "1 час 30 минут", "1 ч 30 мин"),
                *("1 godz. 30 min", "1 saat 30 dakika", "1 jam 30 menit", "1시간 30분"),
                *("1時間30分", "1小时30分钟", "1 hora y 30 minutos", "1 ora e 30 minuti"),
                *("1 time 30 min", "1,5 h", "1 hour and 30 minutes", "90 минут"),
                *(InUnit("1:30", HOURS), InUnit("90,0", MINUTES), InUnit(90, MINUTES)),
                *(InUnit("1:30:00", MINUTES, False), InUnit("1h30", MINUTES, False)),
            ],
        ),
        (4354.0, [{"hours": 1, "minutes": 12, "seconds": 34}, "1 heure 12 minutes 34 secondes"]),
        (93784.0, ["1.02:03:04", "1 d 02:03:04", "1 Tag 2 Stunden 3 Minuten 4 Sekunden"]),
    ],
    "date": [
        (
            DAY,
            [
                *("5. marraskuuta 2023", "5 marraskuu 2023", "5 nov. 2023", "5 ноября 2023 г."),
                *("5 листопада 2023 р.", "5 Kas 2023", "5 lis 2023", "5 listopada 2023"),
                *("5. listopadu 2023", "5 thg 11, 2023", "ngày 5 tháng 11 năm 2023"),
                *("2023. 11. 5.", "2023.11.05.", "2023. november 5.", "2023年11月5日(日)"),
                *(
                    "2023年11月5日 星期日",
                    "2023년 11월 5일 일요일",
                    "令和5年11月5日",
                    "5 พ.ย. 2566",
                ),
                *("٥ نوفمبر ٢٠٢٣", "5 नवंबर 2023", "5 נובמבר 2023", "5 בנובמבר 2023"),
                *("5 නොවැම්බර් 2023", "5 நவம்பர் 2023", "5 Νοεμβρίου 2023"),
                *("5 de nov. de 2023", "5 de noviembre del 2023", "Sonntag, 5. November 2023"),
                *("dimanche 5 novembre 2023", "воскресенье, 5 ноября 2023 г.", "5-nov-2023"),
                *("Publié le 5 nov. 2023", "Veröffentlicht am 05.11.2023", "2023-11-05Z"),
                *("2023-11-05+00:00", "2023-11-04T24:00:00Z", "2023-11-04 24:00"),
                *([2023, 11, 5], {"year": 2023, "month": 11, "day": 5}),
                *("datetime.date(2023, 11, 5)", "datetime.datetime(2023, 11, 5, 0, 0)"),
                *({"$date": {"$numberLong": "1699142400000"}}, {"$date": 1699142400000}),
                {"date": "2023-11-05 00:00:00.000000", "timezone_type": 3, "timezone": "UTC"},
                *({"timestampValue": "2023-11-05T00:00:00Z"}, "\u200e5\u200e.\u200e11\u200e.2023"),
            ],
        ),
        (
            TEN,
            [
                *("2023-11-05T11:00:00+01:00[Europe/Berlin]", "2023-11-05T11:00:00[Europe/Berlin]"),
                *("2023-11-05 11:00:00 Europe/Berlin", "5 nov. 2023 à 10:00", "5 nov. 2023 10h00"),
                {"date": "2023-11-05 11:00:00.000000", "timezone": "Europe/Berlin"},
                {"date": "2023-11-05 11:00:00.000000", "timezone": "+01:00"},
                {"dateTime": "2023-11-05T05:00:00", "timeZone": "America/New_York"},
                *("5. November 2023 um 10:00 Uhr", "5.11.2023 klo 10.00"),
                *("5 de nov. de 2023 às 10:00", "5 ноября 2023 г. в 10:00"),
                *("2023년 11월 5일 오전 10:00", "2023/11/5 上午10:00:00", "2023年11月5日10時00分"),
                *("Nov 5, 2023 10 AM", "Nov 5, 2023, 10:00 a.m.", "5 Nov 2023 12:00 UTC+2"),
                *("Sun Nov  5 10:00:00 UTC 2023", "2023-11-05 10:00:00+00", [2023, 11, 5, 10, 0]),
            ],
        ),
        (EVENING, ["2023. 11. 5. 오후 10:04:09", "Nov 5, 2023, 10:04:09 p. m."]),
        (day(5, 1), ["1 maj 2023", "1 мая 2023", "1 maja 2023", "1 Mayıs 2023", "1 maggio 2023"]),
        (day(8, 15), ["15 août 2023", "15 aout 2023", "15 sierpnia 2023", "15. srpna 2023"]),
        (day(4, 1), ["1º de abril de 2023", "1er avril 2023", "April 1st 2023", "1. april 2023"]),
        (day(2, 3), ["3 févr. 2023", "3 fevrier 2023", "3 lutego 2023", "3 helmikuuta 2023"]),
        (day(6, 30), ["30 juin 2023", "30 июня 2023", "30. června 2023", "30 Haz 2023"]),
        (day(7, 30), ["30 juil. 2023", "30 июля 2023", "30. července 2023", "30 lipca 2023"]),
        (None, ["9999-12-31", "9999-12-31T23:59:59Z", "1899-12-30 00:00:00", "0001-01-01"]),
    ],
    "tags": [
        (("a & b", "c"), ["a &amp; b, c", "a &amp; b;c", "a &#38; b|c"]),
        (
            ("python", "c#", "dotnet"),
            [
                *("#python #c# #dotnet", "#python,#c#,#dotnet", "#python|#c#|#dotnet"),
                *('"python", "c#", "dotnet"', "'python', 'c#', 'dotnet'", "python; c#; dotnet"),
                *("- python\n- c#\n- dotnet", "python\r\nc#\r\ndotnet", "python,\nc#,\ndotnet"),
                "[np.str_('python'), np.str_('c#'), np.str_('dotnet')]",
                "[{'id': 1, 'name': 'python'}, {'name': 'c#', 'x': None}, {'name': 'dotnet'}]",
                {"L": [{"S": "python"}, {"S": "c#"}, {"S": "dotnet"}]},
                {"SS": ["python", "c#", "dotnet"]},
                {
                    "arrayValue": {
                        "values": [{"stringValue": t} for t in ("python", "c#", "dotnet")]
                    }
                },
                *(["python", "NA", "c#", None, "dotnet"], "python, N/A, c#, dotnet,"),
            ],
        ),
        (("(live)",), ["(live)"]),
        (("a,b", "c"), ["a\\,b,c", '"a,b","c"', "'a,b', 'c'", '"a,b";c']),
        (("a|b", "c"), ['"a|b","c"']),
        (("a", "b"), ["#a#b", "＃a ＃b", "a\tb", "['a'; 'b']"]),
        (("'90s", "'80s"), ["'90s, '80s"]),
        (("C:\\dir", "b"), ["C:\\dir, b"]),
        (("R&B;Q", 'a 12" x'), ['R&B;Q|a 12" x']),
    ],
    "url": [
        (
            "https://v.example/a",
            [
                '=HYPERLINK("https://v.example/a"; "A")',
                *("[A](https://v.example/a)", "<a href='https://v.example/a'>A</a>"),
            ],
        )
    ],
}
DOUBTFUL: Final[dict[str, list[object]]] = {
    "count": [
        *("1.5 mil views", "1.5 mil", "1.234 views", "1.2K watching", "1.2M+ views", "~1.2M", "5²"),
        *("1½M", "12.3 vues", "1,5 views", "5 subscribers", "1-2K", "1亿3亿", "1/2", "5%", "万"),
        *({"value": 5, "unit": "parsec"}, "1.2.3", "12,3456", "1,234 M de vues"),
    ],
    "duration": [
        *("1:75 h", "12:34 parsec", "1½ h", "1j 2h", "about 5 min", "12:34:56:78", "5²", "1h2"),
        *(
            InUnit("1:45", MINUTES, False),
            InUnit("1,500", MINUTES),
            timedelta(hours=45, minutes=10),
        ),
        *({"seconds": 34, "foo": 3}, {"minutes": "12:34"}, "1,500 s", {"value": 5, "unit": "x"}),
    ],
    "date": [
        *("circa 5 Nov 2023", "until 5 Nov 2023", "before Nov 5, 2023", "c. 5 Nov 2023"),
        *("to 5 Nov 2023", "Scheduled for Nov 5, 2023", "Premieres Nov 5, 2023", "~2023-11-05"),
        *("5. listopada 2023", "5. srp 2023", "marraskuu 2023", "2566-11-05", "1402/08/14"),
        *("2023-11-05?", "2023-11-05/2023-11-06", "5-7 Nov 2023", "1753-01-01", "2101-01-01"),
        *("2023-11-05T10:00:00[Mars/Phobos]", {"date": "2023-11-05", "timezone": "Foo/Bar"}),
        *({"year": 2023, "month": 11}, [2023, 11], [5, 11, 2023], "5 Nov 2023 (estimated)"),
        *("5²/11/2023", "Nov 5 2023 13:00 PM", "2023-W44", {"$date": {"$numberLong": "x"}}),
    ],
    "tags": ["#a b #c", "[{'name': nan}]", "{:id=>1}", "{id=1, name=x}", "[{'id': 1} {'id': 2}]"],
    "url": ["https://a.example/1, https://a.example/2"],
}
