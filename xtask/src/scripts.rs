//! Generates the table from which the pages estimate the model tokens of a text.

use std::fmt::Write as _;

use shared::values::TokenEstimate;

use crate::Failure;
use crate::files::Files;

/// The usual number of model tokens, in thousandths of the high estimate.
const USUAL: u64 = 800;

/// Characters that take about as many model tokens each.
struct Script {
    name: &'static str,
    /// The first and the last code point of each range.
    ranges: &'static [(u32, u32)],
    /// A text in which these characters are usual. Its other characters belong to earlier scripts.
    sample: &'static str,
}

/// The scripts, in the order in which their samples build on each other.
const SCRIPTS: [Script; 12] = [
    Script {
        name: "Latin",
        ranges: &[(0x20, 0x20), (0x41, 0x5a), (0x61, 0x7a)],
        sample: "The ferry to the island leaves every morning at seven and the last one back \
                 arrives shortly before midnight Passengers who have bought a weekly ticket can \
                 also use the buses in the harbour but not the night trains for which another \
                 reservation is necessary Children travel without charge",
    },
    Script {
        name: "Symbols",
        ranges: &[(0x21, 0x2f), (0x3a, 0x40), (0x5b, 0x60), (0x7b, 0x7e), (0x2010, 0x206f)],
        sample: "for (const ferry of ferries) { total += prices[ferry] ?? free; } if (list.length \
                 > most && !isOpen) return { \"kind\": \"ticket\", \"path\": \"a/b\" }; Wait, \
                 please: the ferry – which is late – is here. It’s “free” (today only)!",
    },
    Script {
        name: "Digits",
        ranges: &[(0x30, 0x39)],
        sample: "2031 48 1057 992 3 60 17250 8 414 77 2029 365 1001 19 5 83126 250 64 9 730",
    },
    Script {
        name: "Latin letters with diacritics",
        ranges: &[(0xa0, 0x36f), (0x1e00, 0x1eff)],
        sample: "Příští loď odplouvá až ráno, protože večer bývá moře příliš neklidné. Święta \
                 spędzimy już na wyspie, gdzie czeka na nas cała rodzina. Die nächste Fähre fährt \
                 erst am frühen Morgen zurück. Le café près du théâtre était fermé l'été dernier.",
    },
    Script {
        name: "Cyrillic",
        ranges: &[(0x400, 0x52f)],
        sample: "Паром на остров уходит каждое утро в семь часов, а последний возвращается \
                 незадолго до полуночи. Пассажиры с недельным билетом могут ездить и на автобусах.",
    },
    Script {
        name: "Greek",
        ranges: &[(0x370, 0x3ff), (0x1f00, 0x1fff)],
        sample: "Το πλοίο για το νησί φεύγει κάθε πρωί στις επτά και το τελευταίο επιστρέφει λίγο \
                 πριν από τα μεσάνυχτα. Τα παιδιά ταξιδεύουν χωρίς εισιτήριο.",
    },
    Script {
        name: "Hebrew and Arabic",
        ranges: &[(0x590, 0x6ff), (0x750, 0x77f), (0xfb1d, 0xfdff), (0xfe70, 0xfefc)],
        sample: "المعبرة إلى الجزيرة تغادر كل صباح في السابعة وتعود الأخيرة قبل منتصف الليل بقليل. \
                 המעבורת לאי יוצאת בכל בוקר בשבע, והאחרונה חוזרת מעט לפני חצות.",
    },
    Script {
        name: "Indic",
        ranges: &[(0x900, 0xdff)],
        sample: "द्वीप के लिए नाव हर सुबह सात बजे निकलती है और आखिरी नाव आधी रात से पहले लौटती है। \
                 দ্বীপের জাহাজ প্রতিদিন সকাল সাতটায় ছাড়ে। \
                 தீவுக்கான படகு ஒவ்வொரு காலையும் ஏழு மணிக்குப் புறப்படும்.",
    },
    Script {
        name: "Thai",
        ranges: &[(0xe00, 0xe7f)],
        sample: "เรือไปเกาะออกทุกเช้าเวลาเจ็ดโมง และเที่ยวสุดท้ายกลับมาถึงก่อนเที่ยงคืนเล็กน้อย เด็กเดินทางฟรี",
    },
    Script {
        name: "Hangul",
        ranges: &[(0x1100, 0x11ff), (0x3130, 0x318f), (0xac00, 0xd7a3)],
        sample: "섬으로 가는 배는 매일 아침 일곱 시에 떠나고 마지막 배는 자정 조금 전에 돌아옵니다. \
                 어린이는 표 없이 탈 수 있습니다.",
    },
    Script {
        name: "Han and its punctuation",
        ranges: &[
            (0x3000, 0x303f),
            (0x3400, 0x9fff),
            (0xf900, 0xfaff),
            (0xff00, 0xff65),
            (0x20000, 0x3ffff),
        ],
        sample: "去岛上的渡轮每天早上七点出发，最后一班在午夜前不久返回。持有周票的乘客也可以乘坐港口的\
                 公共汽车，但不能乘坐夜间火车。儿童免费。",
    },
    Script {
        name: "Kana",
        ranges: &[(0x3040, 0x30ff), (0x31f0, 0x31ff), (0xff66, 0xff9f)],
        sample: "島へのフェリーは毎朝七時に出て、さいごの便は夜中の少しまえにもどります。こどもはただで\
                 のることができます。バスのチケットもつかえます。",
    },
];

/// A text in other scripts.
const OTHER: &str = "კუნძულისკენ მიმავალი ბორანი ყოველ დილით შვიდ საათზე გადის. \
                     Լաստանավը մեկնում է ամեն առավոտ։ ጀልባው በየቀኑ ጠዋት ይነሳል። ကျွန်းသို့ သင်္ဘော ထွက်သည်။";

/// The first and the last code point of a range, and the cost of each of its characters in
/// thousandths of a model token.
struct Row {
    first: u32,
    last: u32,
    cost: u64,
}

pub fn generate(files: &mut Files) -> Result<(), Failure> {
    let mut rows: Vec<Row> = Vec::new();
    let mut lines = String::new();
    for Script { name, ranges, sample } in &SCRIPTS {
        let own = |code: u32| ranges.iter().any(|&(first, last)| (first..=last).contains(&code));
        let cost = cost(sample, own, &rows).ok_or_else(|| format!("{name} has no sample"))?;
        writeln!(lines, "  // {name}")?;
        for &(first, last) in *ranges {
            writeln!(lines, "  [0x{first:x}, 0x{last:x}, {cost}],")?;
            rows.push(Row { first, last, cost });
        }
    }
    let is_other = |code: u32| listed(&rows, code).is_none();
    let other = cost(OTHER, is_other, &rows).ok_or("the other scripts have no sample")?;
    let text = format!(
        "// How many model tokens the characters of each writing system usually take. Generated by\n\
         // `cargo xtask generate`.\n\n\
         /** The first and the last code point of a range, and the thousandths for each character. */\n\
         export const SCRIPTS = [\n{lines}];\n\n\
         /** The thousandths for each other character. */\n\
         export const OTHER = {other};\n"
    );
    files.put("site/session/model-tokens.js", text);
    Ok(())
}

/// Returns the cost of each of a sample's `own` characters: what the estimate of the whole sample
/// leaves after the cost of the other characters. `None` if the sample has no own characters.
fn cost(sample: &str, own: impl Fn(u32) -> bool, rows: &[Row]) -> Option<u64> {
    let tokens = u64::try_from(TokenEstimate::high_of(sample)).unwrap_or(u64::MAX);
    let codes = || sample.chars().map(u32::from);
    let others: u64 =
        codes().filter(|&code| !own(code)).filter_map(|code| listed(rows, code)).sum();
    let count = u64::try_from(codes().filter(|&code| own(code)).count()).ok()?;
    tokens.saturating_mul(USUAL).saturating_sub(others).checked_div(count)
}

/// Returns the cost of a character in these rows.
fn listed(rows: &[Row], code: u32) -> Option<u64> {
    rows.iter().find(|row| (row.first..=row.last).contains(&code)).map(|row| row.cost)
}
