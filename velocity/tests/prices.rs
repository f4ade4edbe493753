//! Every operation of a template costs work in proportion to its time, so that the work limit also
//! limits time. An operation with too low a price would keep the host busy for minutes.

#[allow(dead_code, unreachable_pub, reason = "shared with the fuzzers")]
#[path = "targets/measure.rs"]
mod measure;

use std::time::Duration;

use measure::{Counting, Spent};
use promoflow_velocity::{Context, ParseOptions, Template};

#[global_allocator]
static COUNTING: Counting = Counting;

/// Far above the time of any case without optimisation, far below that of a wrong price.
const TIME: Duration = Duration::from_secs(if cfg!(debug_assertions) { 40 } else { 4 });

/// Memory for parsing or rendering, most of it for texts as long as the output limit.
const BYTES: usize = 200 << 20;

fn context() -> Context {
    Context::new()
        .with("long", "x".repeat(4_000_000))
        .with("zeros", "0".repeat(4_000_000))
        .with("wide", "я".repeat(2_000_000))
        .with("x", "abc")
        .with("n", 7)
        .with("d", 1.5)
        .with("empty", "")
        .with("list", vec![1, 2, 3])
        .with_tools()
}

/// The body of a loop, and how often it is repeated in each of its 100,000 iterations.
const OPERATIONS: [(&str, usize); 63] = [
    ("#set($y = $x)", 600),
    ("#set($y = $x.length())", 600),
    ("#set($y = $n + $d * 2)", 200),
    ("#set($y = $n * '12.5')", 200),
    ("#set($y = '123456789012345678.123' / '3.00')", 200),
    ("#set($y = $x + $n)", 200),
    ("#set($y = \"$x$x\")", 200),
    ("#set($y = [1,2,3])", 200),
    ("#set($y = {'a': 1})", 200),
    ("#set($y = $zeros * 1)", 20),
    ("#set($m[$i] = 1)", 5),
    ("#if($x == 'abc')#end", 300),
    ("#if($n > 3 && $d < 9)#end", 200),
    ("#if($long == 1)#end", 20),
    ("#if($zeros == 1)#end", 20),
    ("#if($long == $long)#end", 20),
    ("#if($block)#end", 200),
    ("#m($x)", 300),
    ("$block", 100),
    ("$d", 5),
    ("#foreach($j in $list)#end", 100),
    ("#set($y = $foreach.topmost)", 200),
    ("#evaluate('$x')", 100),
    ("#evaluate('$!{none.a.b.c}$!{none}$!{none}')", 100),
    ("#set($y = $list.contains(9))", 200),
    ("#set($y = $l.add(0, 1))", 1),
    ("#set($y = $x.charAt(1))", 200),
    ("#set($y = $wide.charAt(1))", 1),
    ("#set($y = $x.substring(1))", 200),
    ("#set($y = $wide.indexOf('x'))", 1),
    ("#set($y = $x.hashCode())", 200),
    ("#set($y = $x.split('b'))", 200),
    ("#set($y = $long.split('x'))", 1),
    ("#set($y = $x.join(',', $list))", 200),
    ("#set($y = $x.equals($wide))", 200),
    ("#set($y = $x.equalsIgnoreCase($wide))", 1),
    ("#set($y = $x.compareToIgnoreCase($wide))", 1),
    ("#set($y = $wide.toUpperCase())", 1),
    ("#set($y = $x.replaceAll('b', 'c'))", 200),
    ("#set($y = $long.replaceAll('(x)(x)(x)?(y)?', '$1'))", 1),
    ("#set($y = $x.matches(\"(?i)\\p{L}{3}$i\"))", 1),
    ("#set($y = $long.matches('(?i)(\\p{L}|\\p{Lu}|x){20}*'))", 1),
    ("#set($y = $empty.matches($pattern))", 200),
    ("#set($y = $x.format('%s %5d', $x, $n))", 200),
    ("#set($y = $x.format('%.400f', 1e300))", 200),
    ("#set($y = $n.parseInt($zeros))", 1),
    ("#set($y = $d.parseDouble($zeros))", 1),
    ("#set($y = $d.floatValue())", 200),
    ("#set($y = $math.idiv($n, -2))", 200),
    ("#set($y = $math.pow(2.5, 300))", 200),
    ("#set($y = $math.roundTo(100, 1e300))", 200),
    ("#set($y = $math.add('1.5', '2.5'))", 200),
    ("#set($y = $number.format('#,##0.00', 1e300))", 200),
    ("#set($y = $date.format('yyyy-MM-dd', 0))", 200),
    ("#set($y = $date.format('yyyy', 9223372036854775807))", 200),
    ("#set($y = $date.format($long, 0))", 1),
    (
        "#set($y = $date.format('EEEE_MMMM_YYYY_w_W', 0, 'ml'))",
        200,
    ),
    ("#set($y = $date.format('full', '2017.12.31'))", 200),
    (
        "#set($y = $date.toDate('MMMM_EEEE', 'September_Wednesday'))",
        200,
    ),
    ("#set($y = $dateTool.addDays('2017.12.31', 1))", 200),
    (
        "#set($y = $dateTool.diff('2017.12.31', '2017.12.30', 'DAYS'))",
        200,
    ),
    ("#set($y = $dateTool.currentDate('HH', 'Europe/Kyiv'))", 200),
    ("#set($y = $number.currency(1e300))", 200),
];

#[test]
fn every_operation_ends_soon() {
    let context = context();
    let start = "#set($m = {})#set($l = [1])#macro(m $a)#end#define($block)#set($q = 1)#end\
        #set($pattern = '(?x)')#set($pattern = $pattern + $x.replaceAll('.', ' ').repeat(600))\
        #foreach($i in [1..100000])";
    for (thing, times) in OPERATIONS {
        let source = format!("{start}{}#end", thing.repeat(times));
        let template = Template::parse(&source).expect(thing);
        let (_, spent) = Spent::by(|| template.render(&context));
        println!("{:>9.3?} {:>4} MiB {thing}", spent.time, spent.bytes >> 20);
        assert!(spent.time < TIME, "{thing} takes {:?}", spent.time);
        assert!(spent.bytes < BYTES, "{thing} takes {} bytes", spent.bytes);
    }
}

/// Sources that could make the parser slow or use much memory: each piece is repeated up to a MiB.
const PIECES: [&str; 34] = [
    "$",
    "#",
    "\\",
    "{",
    "${",
    "$[",
    "$a",
    "$a.b",
    "$x ",
    "$x.y(1)",
    "a$!",
    "#a ",
    "#a\n",
    "#a(1)",
    "##\n",
    "#**#",
    "a#**#",
    "#[[]]#",
    "%A%",
    "%A#**#B%",
    "%a",
    "\"'",
    "’a ",
    " \n",
    "\u{1c}",
    "#{",
    "\\#{",
    "#set($x=1)",
    "#if(1)#end",
    "#@a()#end",
    "#macro(m)#end",
    "#stop",
    "#set($x=\"$a\")",
    "#m(’a ",
];

#[test]
fn parsing_takes_linear_time() {
    let is_tag = |_: &str, name: &str, _: &str| {
        let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric());
        (plain && !name.is_empty()).then(|| name.to_owned())
    };
    let around = |open: &str, inner: &str, close: &str, times: usize| {
        format!("{}{inner}{}", open.repeat(times), close.repeat(times))
    };
    let mut sources: Vec<String> = PIECES
        .iter()
        .map(|piece| piece.repeat((1 << 20) / piece.len()))
        .collect();
    sources.extend([
        format!("#set($x = [{}1])", "1,".repeat(200_000)),
        format!("#m({})", "1 ".repeat(200_000)),
        format!("#if(1){}#end", "#elseif(1)".repeat(90_000)),
        format!("#set($x = \"{}\")", "\\u0024a".repeat(100_000)),
        around("#@m()", &"x".repeat(1 << 20), "#end", 98),
        around("$x.y(", "1", ")", 45).repeat(4_000),
        (0..50_000)
            .map(|number| format!("#macro(a{number})%T{number}%#end"))
            .collect(),
    ]);
    for source in sources {
        let start: String = source.chars().take(20).collect();
        let (_, spent) = Spent::by(|| {
            let parsed = Template::parse_with_tags(&source, &ParseOptions::default(), &is_tag);
            parsed.map(|template| template.references().len())
        });
        assert!(spent.time < TIME, "{start} takes {:?}", spent.time);
        assert!(spent.bytes < BYTES, "{start} takes {} bytes", spent.bytes);
    }
}
