"""Words that stand by numbers: multiples, what was counted, and units of time, by language."""

from __future__ import annotations

import unicodedata
from decimal import Decimal
from typing import Final, TypeVar

T = TypeVar("T")


def _split(words: str) -> list[str]:
    """Return words as texts are compared; ``_`` stands for a space in one."""
    words = unicodedata.normalize("NFKC", words).casefold()
    return [word.replace("_", " ") for word in words.split()]


def _table(*rows: tuple[str, T]) -> dict[str, T]:
    """Return what each word of the rows means."""
    return {word: meaning for words, meaning in rows for word in _split(words)}


#: What multiplies the number before it, whatever the language. Letters are compared without case.
MULTIPLES: Final = _table(
    ("k thousand tsd tys tis tuh тыс тис хил хиляди χιλ bin ribu rb nghìn ngàn ألف آلاف", 10**3),
    ("हज़ार हजार হাজার ஆயிரம் දහස พัน هزار ہزار mii tūkst", 10**3),
    ("m mn mio mln mi million millions millionen millón millones milhão milhões mill", 10**6),
    ("milione milioni miljoen miljoonaa milj miljoner milyon juta jt triệu", 10**6),
    ("млн мільйонів миллион миллиона миллионов εκ مليون ملايين میلیون मिलियन ล้าน", 10**6),
    ("මිලියන மில்லியன்", 10**6),
    ("b bn billion billions mrd md mld млрд миллиард миллиарда miliar milyar tỷ مليار", 10**9),
    ("lakh lakhs lac lacs लाख লাখ லட்சம் ලක්ෂ แสน", 10**5),
    ("crore crores cr करोड़ কোটি கோடி", 10**7),
    ("หมื่น", 10**4),
)
#: The same where no space needs to stand between, and those that may stand before them.
JOINED_MULTIPLES: Final = _table(("万 萬 만", 10**4), ("億 亿 억", 10**8), ("兆 조", 10**12))
SMALL_JOINED: Final = _table(("十 십", 10), ("百 백", 100), ("千 천", 1000))
#: What multiplies in some languages only: in others it is something else, or it is a letter.
LOCAL_MULTIPLES: Final = {
    "tr": {"b": 10**3, "mr": 10**9},
    "hu": {"e": 10**3},
    "vi": {"n": 10**3, "tr": 10**6, "t": 10**9},
    "fi": {"t": 10**3},
    "sv": {"t": 10**3, "tn": 10**3},
    "ms": {"j": 10**6},
    "es": {"mil": 10**3},
    "pt": {"mil": 10**3, "bi": 10**9},
    "cs": {"mil": 10**6},
    "sk": {"mil": 10**6},
    "ro": {"mil": 10**6},
    "hr": {"mil": 10**6},
}
#: What says that views, plays or likes were counted, by language; a word may be several's.
COUNTED: Final = {
    language: _split(words)
    for language, words in {
        "en": "view views play plays watches times time like likes x hits watched streams viewers",
        "de": "aufruf aufrufe mal wiedergaben klicks zugriffe",
        "fr": "vue vues lecture lectures visionnages j'aime mentions",
        "es": "vista vistas visualización visualizaciones reproducción reproducciones visitas",
        "pt": "visualização visualizações visualizacoes reproduções exibições curtidas gostos",
        "it": "visualizzazione visualizzazioni riproduzioni visite",
        "nl": "weergave weergaven keer_bekeken bekeken",
        "pl": "wyświetlenie wyświetlenia wyświetleń odsłon odsłony odtworzeń",
        "ru": "просмотр просмотра просмотров просмотры",
        "uk": "перегляд перегляди переглядів перегляду",
        "bg": "показвания гледания",
        "el": "προβολή προβολές",
        "tr": "görüntüleme görüntülenme izlenme izleme",
        "id": "x_ditonton ditonton tayangan penayangan",
        "ms": "tontonan kali_ditonton",
        "vi": "lượt_xem",
        "sv": "visning visningar",
        "da": "visning visninger",
        "nb": "avspilling avspillinger visning visninger",
        "fi": "katselukerta katselukertaa näyttökertaa katselua",
        "cs": "zhlédnutí shlédnutí přehrání",
        "sk": "zhliadnutí videní",
        "hu": "megtekintés",
        "ro": "vizionare vizionări de_vizionări afișări",
        "hr": "pregled pregleda pregledi",
        "ar": "مشاهدة مشاهدات",
        "fa": "بازدید",
        "he": "צפיות צפייה",
        "hi": "व्यूज़ व्यूज बार_देखा_गया",
        "bn": "ভিউ বার_দেখা_হয়েছে",
        "ta": "பார்வைகள்",
        "si": "බැලීම් නැරඹීම්",
        "th": "การดู ครั้ง",
        "ja": "回 回視聴 回再生 視聴 再生 視聴回数 再生回数 再生数 視聴数",
        "zh": "次 次观看 次觀看 次播放 观看次数 觀看次數 播放 播放量 观看",
        "ko": "회 조회수 조회 시청",
    }.items()
}
#: Languages whose numbers have a point before the fraction.
POINTED: Final = frozenset({"en", "ja", "zh", "ko", "th", "he", "hi", "bn", "ta", "si", "ms", "ar"})
#: What may stand between a number and what was counted.
PARTICLES: Final = ("de ", "di ", "d'", "na ", "x ", "de")
#: Said for none.
NONE_COUNTED: Final = frozenset(
    {"no views", "no likes", "no plays", "keine aufrufe", "aucune vue", "nessuna visualizzazione"}
    | {"sin vistas", "sin visualizaciones", "nenhuma visualização", "geen weergaven", "조회수 없음"}
    | {"нет просмотров", "немає переглядів", "brak wyświetleń", "inga visningar", "无人观看"}
    | {"ingen visninger", "ei katselukertoja", "belum ditonton", "chưa có lượt xem", "無人觀看"}
    | {"görüntüleme yok", "žádná zhlédnutí"}
)
#: Seconds in one of each unit.
UNITS: Final = _table(
    ("ns nsec nanosecond nanoseconds nanos", Decimal("1e-9")),
    ("us µs μs usec microsecond microseconds micros", Decimal("1e-6")),
    ("ms msec msecs millisecond milliseconds millis", Decimal("0.001")),
    ("s sec secs second seconds '' \" sek sekunde sekunden seconde secondes seg", Decimal(1)),
    ("segundo segundos secondo secondi seconden sekund sekunda sekundy sekunder", Decimal(1)),
    ("sekuntia sekunti másodperc mp secunde secundă sn saniye detik dtk giây", Decimal(1)),
    ("с сек секунд секунда секунды секунди δευτ δευτερόλεπτα ثانية ثوان ثواني", Decimal(1)),
    ("שניות सेकंड सेकेंड সেকেন্ড விநாடிகள் தත්පර තත්පර วินาที 秒 秒鐘 秒钟 초", Decimal(1)),
    ("m min mins mn minute minutes ' minuten minuto minutos minuti minuut minut", Decimal(60)),
    ("minuta minuty minutter minutter minuter minuuttia minuutti minút perc minut", Decimal(60)),
    ("dk dakika menit mnt phút мин минут минута минуты м хв хвилин хвилини", Decimal(60)),
    ("хвилина λεπτά دقيقة دقائق דקות मिनट মিনিট நிமிடங்கள் මිනිත්තු นาที 分 分钟 分鐘 분", Decimal(60)),
    ("h hr hrs hour hours std stunde stunden heure heures hora horas ora ore", Decimal(3600)),
    ("uur uren u godz godzina godziny godzin ч час часа часов год година години", Decimal(3600)),
    (
        "годин ώρα ώρες sa saat jam giờ time tim timme timmar timer tunti tuntia hodina",
        Decimal(3600),
    ),
    ("hodiny hodin óra oră ساعة ساعات שעות घंटा घंटे ঘণ্টা மணிநேரம் පැය ชั่วโมง", Decimal(3600)),
    ("時間 时 時 小时 小時 시간", Decimal(3600)),
    ("d day days tag tage tagen jour jours día días dia dias giorno giorni dag", Decimal(86400)),
    ("dagen dni dzień день дня дней gün hari ngày dagar dage päivää 天 日 일", Decimal(86400)),
    ("w week weeks woche wochen semaine semaines semana semanas", Decimal(604800)),
)
#: What may stand between two units, beside a comma.
ANDS: Final = tuple(
    "and und et y e en i и й і och og ja a és și dan và ve και और و ו & +".split()  # noqa: SIM905
)
