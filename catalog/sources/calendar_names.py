"""Names of months and days of the week, by Unicode's CLDR for 45 languages, without case.

Croatian's own are not among the months: ``listopad`` is its October and Poland's November.
"""

from __future__ import annotations

from typing import Final

#: Names of each month and their abbreviations, without the point; no name is two months'.
MONTHS: Final = (
    "ene enero gen gener gennaio ian ianuarie jaan jaanuar jan janeiro januar januari "
    "january január januára janv janvier janvāris jän jänner led leden ledna oca ocak "
    "saus sausio sausis sty styczeń stycznia tammi tammikuu tammikuuta ιαν ιανουάριοσ "
    "ιανουαρίου січ січень січня янв январь января яну януари јан јануар ינואר ינו׳ "
    "جنوری كانون_الثاني يناير ژانویه जनवरी जन॰ जाने जानेवारी জানু জানুয়ারি ਜਨ ਜਨਵਰੀ "
    "જાન્યુ જાન્યુઆરી ஜன ஜனவரி జన జనవరి ಜನ ಜನವರಿ ജനു ജനുവരി ජනවාරි ม.ค มกราคม",
    "feb febbraio febr febrer febrero februar februari februarie february február "
    "februára februāris fev fevereiro fév févr février helmi helmikuu helmikuuta lut "
    "lutego luty peb pebrero vas vasario vasaris veebr veebruar úno únor února şub "
    "şubat φεβ φεβρουάριοσ φεβρουαρίου лют лютий лютого феб фебруар фев февр февраль "
    "февраля февруари פברואר פבר׳ شباط فبراير فروری فوریه फ़रवरी फ़र॰ फेब्रु "
    "फेब्रुवारी ফেব ফেব্রুয়ারি ਫ਼ਰ ਫ਼ਰਵਰੀ ફેબ્રુ ફેબ્રુઆરી பிப் பிப்ரவரி ఫిబ్ర "
    "ఫిబ్రవరి ಫೆಬ್ರ ಫೆಬ್ರವರಿ ഫെബ്രു ഫെബ്രുവരി පෙබරවාරි ก.พ กุมภาพันธ์",
    "bře březen března kov kovas kovo maalis maaliskuu maaliskuuta maart mac mar "
    "marca march marec maret mars marso mart martie marts marzec marzo març março mrt "
    "mrz márc március mär märts märz μάρ μάρτιοσ μαρ μαρτίου бер березень березня мар "
    "март марта מרץ آذار مارس مارچ मार्च মার্চ ਮਾਰਚ માર્ચ மார் மார்ச் మార్చి ಮಾರ್ಚ್ "
    "മാർ മാർച്ച് මාර්තු มี.ค มีนาคม",
    "abr abril apr april aprile aprilie aprill apríl apríla aprīlis avr avril bal "
    "balandis balandžio dub duben dubna huhti huhtikuu huhtikuuta kwi kwiecień "
    "kwietnia nis nisan ápr április απρ απρίλιοσ απριλίου апр апрель апреля април "
    "квіт квітень квітня אפריל אפר׳ آوریل أبريل اپریل نيسان अप्रैल एप्रि एप्रिल এপ্রি "
    "এপ্রিল ਅਪ੍ਰੈ ਅਪ੍ਰੈਲ એપ્રિલ ஏப் ஏப்ரல் ఏప్రి ఏప్రిల్ ಏಪ್ರಿ ಏಪ್ರಿಲ್ ഏപ്രി ഏപ്രിൽ "
    "අප්\u200dරේල් เม.ย เมษายน",
    "geg gegužė gegužės kvě květen května mag maggio mai maig maijs maio maj maja may "
    "mayo mayıs mei máj mája május touko toukokuu toukokuuta μάι μάιοσ μαΐ μαΐου "
    "май мая мај трав травень травня מאי أيار مئی ماي مايو मई मे মে ਮਈ મે மே మే ಮೇ "
    "മേയ് මැයි พ.ค พฤษภาคม",
    "birž birželio birželis cze czerwca czerwiec giu giugno haz haziran hun hunyo iun "
    "iunie juin jun june junho juni junij junio juny juuni jún júna június jūn jūnijs "
    "kesä kesäkuu kesäkuuta červen června čvn ιουν ιουνίου ιούν ιούνιοσ июн июнь июня "
    "черв червень червня юни јун יוני جون حزيران يونيو ژوئن जून জুন ਜੂਨ જૂન ஜூன் జూన్ "
    "ಜೂನ್ ജൂൺ ජූනි มิ.ย มิถุนายน",
    "heinä heinäkuu heinäkuuta hul hulyo iul iulie juil juillet jul julai julho juli "
    "julij julio juliol july juuli júl júla július jūl jūlijs liep liepa liepos lip "
    "lipca lipiec lug luglio tem temmuz července červenec čvc ιουλ ιουλίου ιούλ "
    "ιούλιοσ июл июль июля лип липень липня юли јул יולי تموز جولائی يوليو يوليوز "
    "ژوئیه जुलाई जुलै जुल॰ জুল জুলাই ਜੁਲਾ ਜੁਲਾਈ જુલાઈ ஜூலை జులై ಜುಲೈ ജൂലൈ ජූලි ก.ค "
    "กรกฎาคม",
    "ag ago agost agosto agu agustus août aug august augusta augusti augusts augustus "
    "augusztus avg avgust ağu ağustos elo elokuu elokuuta ogo ogos rugp rugpjūtis "
    "rugpjūčio sie sierpień sierpnia srp srpen srpna αυγ αυγούστου αύγ αύγουστοσ авг "
    "август августа серп серпень серпня אוגוסט אוג׳ آب أغسطس اوت اگست غشت अगस्त अग॰ "
    "ऑग ऑगस्ट আগ আগস্ট ਅਗ ਅਗਸਤ ઑગસ્ટ ஆக ஆகஸ்ட் ఆగ ఆగస్టు ಆಗ ಆಗಸ್ಟ್ ഓഗ ഓഗസ്റ്റ് "
    "අගෝස්තු ส.ค สิงหาคม",
    "eyl eylül rugs rugsėjis rugsėjo sep sept septembar september septembra septembre "
    "septembrie septembris septiembre set setembre setembro settembre setyembre syys "
    "syyskuu syyskuuta szept szeptember wrz wrzesień września zář září σεπ "
    "σεπτέμβριοσ σεπτεμβρίου вер вересень вересня сент сентябрь сентября сеп "
    "септембар септември ספטמבר ספט׳ أيلول سبتمبر ستمبر سپتامبر شتنبر सप्टें सप्टेंबर "
    "सितंबर सित॰ সেপ সেপ্ট সেপ্টেম্বর ਸਤੰ ਸਤੰਬਰ સપ્ટે સપ્ટેમ્બર செப் செப்டம்பர் "
    "సెప్టెం సెప్టెంబర్ ಸೆಪ್ಟೆಂ ಸೆಪ್ಟೆಂಬರ್ സെപ്റ്റം സെപ്റ്റംബർ සැප්තැම්බර් ก.ย "
    "กันยายน",
    "eki ekim loka lokakuu lokakuuta oct october octobre octombrie octubre okt "
    "oktobar oktober oktobris oktoober oktubre október októbra ott ottobre out "
    "outubro paź październik października spal spalio spalis říj říjen října οκτ "
    "οκτωβρίου οκτώβριοσ жовт жовтень жовтня окт октобар октомври октябрь октября "
    "אוקטובר אוק׳ أكتوبر اکتبر اکتوبر تشرين_الأول अक्टूबर अक्टू॰ ऑक्टो ऑक्टोबर অক্টো "
    "অক্টোবর ਅਕਤੂ ਅਕਤੂਬਰ ઑક્ટો ઑક્ટોબર அக் அக்டோபர் అక్టో అక్టోబర్ ಅಕ್ಟೋ ಅಕ್ಟೋಬರ್ "
    "ഒക്ടോ ഒക്\u200cടോബർ ඔක්තෝබර් ต.ค ตุลาคม",
    "kas kasım lapkr lapkritis lapkričio lis listopad listopada listopadu marras "
    "marraskuu marraskuuta nob nobyembre noiembrie nov novembar november novembra "
    "novembre novembris novembro noviembre νοέ νοέμβριοσ νοε νοεμβρίου лист листопад "
    "листопада нов новембар ное ноември нояб ноябрь ноября נובמבר נוב׳ تشرين_الثاني "
    "نوامبر نوفمبر نومبر نونبر नवंबर नव॰ नोव्हें नोव्हेंबर নভে নভেম্বর ਨਵੰ ਨਵੰਬਰ નવે "
    "નવેમ્બર நவ நவம்பர் నవం నవంబర్ ನವೆಂ ನವೆಂಬರ್ നവം നവംബർ නොවැම්බර් พ.ย พฤศจิกายน",
    "ara aralık dec decembar december decembra decembrie decembris des desember "
    "desembre dets detsember dez dezember dezembro dic dicembre diciembre dis "
    "disember disyembre déc décembre gru grudnia grudzień gruod gruodis gruodžio "
    "joulu joulukuu joulukuuta pro prosince prosinec δεκ δεκέμβριοσ δεκεμβρίου груд "
    "грудень грудня дек декабрь декабря декември дец децембар דצמבר דצמ׳ دجنبر دسامبر "
    "دسمبر ديسمبر كانون_الأول डिसें डिसेंबर दिसंबर दिस॰ ডিসে ডিসেম্বর ਦਸੰ ਦਸੰਬਰ ડિસે "
    "ડિસેમ્બર டிச டிசம்பர் డిసెం డిసెంబర్ ಡಿಸೆಂ ಡಿಸೆಂಬರ್ ഡിസം ഡിസംബർ දෙසැම්බර් ธ.ค "
    "ธันวาคม",
)
#: Names of the days of the week and their abbreviations.
WEEKDAYS: Final = (
    "ahad ahd antradienis biy biyernes ceturtd ceturtdiena cmt cn cs csütörtök cum "
    "cuma cumartesi czw czwartek dc dg di dienstag dijous dilluns dim dimanche "
    "dimarts dimecres dinsdag dissabte diumenge divendres dj dl do dom domenica "
    "domingo donderdag donnerstag ds dt dum duminică dv esmaspäev fr fre fredag "
    "freitag fri friday gio giovedì huw huwebes hétfő isn isnin jeu jeudi joi jue "
    "jueves jum jumaat jumat kam kamis ke kedd keskiviikko keskiviikkona "
    "ketvirtadienis kha khamis kolmapäev kt la lauantai lauantaina laupäev lin linggo "
    "lun lundi lunedì lunes luni lör lördag lør lørdag ma maanantai maanantaina "
    "maandag man mandag mar mardi martedì martes marți mer mercoledì mercredi mi mie "
    "miercuri min minggu mittwoch miy miyerkules mié miércoles mo mon monday montag "
    "mån måndag ne ned nedelja nedeľa neděle neljapäev niedz niedziela ons onsdag "
    "otrd otrdiena paz pazar pazartesi pe penktadienis perjantai perjantaina perşembe "
    "pet petak petek pi piatok piektd piektdiena pirmadienis pirmd pirmdiena piątek "
    "pn po pon pondelok pondělí ponedeljak ponedeljek poniedziałek pr pt pzt pá pátek "
    "péntek pühapäev qua quarta quarta-feira qui quinta quinta-feira rab rabu reede "
    "sa sab sabado sabato sabtu sal salı sam samedi samstag sat saturday seg segunda "
    "segunda-feira sekmadienis sel selasa sen senin sestd sestdiena sex sexta "
    "sexta-feira sk so sob sobota sonntag sre sreda st streda středa su sub subota "
    "sun sunday sunnuntai sunnuntaina svētd svētdiena sze szerda szo szombat sáb "
    "sábado sâm sâmbătă sön söndag søn søndag teisipäev ter terça terça-feira thu "
    "thur thurs thursday ti tiistai tiistaina tir tirs tirsdag tis tisdag tor torek "
    "tors torsdag torstai torstaina tr trečiadienis trešd trešdiena tue tues tuesday "
    "ut uto utorak utorok vasárnap ven vendredi venerdì vie viernes vin vineri vr "
    "vrijdag wed wednes wednesday weds wo woensdag wt wtorek za zaterdag zo zondag "
    "çar çarşamba út úterý čet četrtek četvrtak čt čtvrtek śr środa šeštadienis št "
    "štvrtok δευ δευτέρα κυρ κυριακή πέμ πέμπτη παρ παρασκευή σάβ σάββατο τετ τετάρτη "
    "τρί τρίτη воскресенье вс вт вторник вівторок нд нед неделя недеља неділя "
    "пʼятниця пет петак петък пн пон понеделник понедельник понедељак понеділок пт "
    "пятница сб середа ср сре среда сряда суб суббота субота събота уто уторак чет "
    "четвер четверг четвртак четвъртък чт שבת اتوار الأحد الأربعاء الاثنين الثلاثاء "
    "الجمعة الخميس السبت بدھ جمعرات جمعه جمعہ دوشنبه سه‌شنبه شنبه منگل پنجشنبه پیر "
    "چهارشنبه ہفتہ یکشنبه गुरु गुरुवार बुध बुधवार मंगल मंगलवार मंगळ मंगळवार रवि "
    "रविवार शनि शनिवार शुक्र शुक्रवार सोम सोमवार বুধ বুধবার বৃহস্পতি বৃহস্পতিবার "
    "মঙ্গল মঙ্গলবার রবি রবিবার শনি শনিবার শুক্র শুক্রবার সোম সোমবার ਐਤ ਐਤਵਾਰ ਬੁੱਧ "
    "ਬੁੱਧਵਾਰ ਮੰਗਲ ਮੰਗਲਵਾਰ ਵੀਰ ਵੀਰਵਾਰ ਸ਼ਨੀ ਸ਼ਨੀਵਾਰ ਸ਼ੁੱਕਰ ਸ਼ੁੱਕਰਵਾਰ ਸੋਮ ਸੋਮਵਾਰ ગુરુ "
    "ગુરુવાર બુધ બુધવાર મંગળ મંગળવાર રવિ રવિવાર શનિ શનિવાર શુક્ર શુક્રવાર સોમ સોમવાર "
    "சனி செவ் செவ்வாய் ஞாயி ஞாயிறு திங் திங்கள் புத புதன் வியா வியாழன் வெள் வெள்ளி "
    "ఆది ఆదివారం గురు గురువారం బుధ బుధవారం మంగళ మంగళవారం శని శనివారం శుక్ర శుక్రవారం "
    "సోమ సోమవారం ಗುರು ಗುರುವಾರ ಬುಧ ಬುಧವಾರ ಭಾನು ಭಾನುವಾರ ಮಂಗಳ ಮಂಗಳವಾರ ಶನಿ ಶನಿವಾರ ಶುಕ್ರ "
    "ಶುಕ್ರವಾರ ಸೋಮ ಸೋಮವಾರ ചൊവ്വ ചൊവ്വാഴ്ച ചൊവ്വാഴ്‌ച ഞായറാഴ്‌ച ഞായർ തിങ്കളാഴ്‌ച തിങ്കൾ "
    "ബുധനാഴ്‌ച ബുധൻ വെള്ളി വെള്ളിയാഴ്‌ച വ്യാഴം വ്യാഴാഴ്‌ച ശനി ശനിയാഴ്‌ച අඟහ අඟහරුවාදා "
    "ඉරිදා බදාදා බ්‍රහස් බ්‍රහස්පතින්දා සඳුදා සිකු සිකුරාදා සෙන සෙනසුරාදා จันทร์ "
    "พฤหัส พุธ วันจันทร์ วันพฤหัสบดี วันพุธ วันศุกร์ วันอังคาร วันอาทิตย์ วันเสาร์ "
    "ศุกร์ อังคาร อาทิตย์ เสาร์"
)
