//! Tools: the examples in the manuals of Yespo and Velocity Tools, inputs for which nothing is
//! printed, and the findings for authors.

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use promoflow_velocity::{Context, Error, Locale, Map, RenderOptions, Template, Value};

/// 2003-10-19T21:54:50 in Kyiv.
const NOW: i64 = 1_066_589_690_000;

fn options(language: &str) -> RenderOptions {
    let now = DateTime::<Utc>::from_timestamp_millis(NOW).expect("a moment");
    RenderOptions {
        locale: Locale::of(language).expect(language),
        now: Some(now.with_timezone(&Tz::Europe__Kyiv)),
        ..RenderOptions::default()
    }
}

fn print(source: &str, data: &[(&str, Value)], language: &str) -> String {
    let mut context = Context::new().with_tools();
    let mut map = Map::new();
    for (name, value) in data {
        context.set(*name, value.clone());
        map.insert(*name, value.clone());
    }
    context.set("data", map);
    let template = Template::parse(source).expect(source);
    template
        .render_with(&context, &options(language))
        .expect(source)
}

#[test]
fn date_arithmetic_matches_the_manual_of_yespo() {
    let data = [
        ("date", "01/01/2020 12:00".into()),
        ("ts", Value::Int(1_495_479_520_000)),
        ("tsText", "1495479520000".into()),
        ("customDate", "12:00 2020-30-04".into()),
        ("dateTime", "2020-05-01T00:00".into()),
        ("firstDate", "01/01/2019".into()),
        ("secondDate", "05/05/2020".into()),
        ("customDate1", "17:15 05/05/2020".into()),
        ("customDate2", "10:05 01/01/2019".into()),
        ("zulu", "2020-05-01T22:30:00Z".into()),
    ];
    for (source, expected) in [
        (
            "$!dateTool.addYears($!data.get('date'),2)",
            "01/01/2022 12:00",
        ),
        (
            "$!dateTool.addMonths($!data.get('date'),5)",
            "01/06/2020 12:00",
        ),
        (
            "$!dateTool.addDays($!data.get('date'),15)",
            "16/01/2020 12:00",
        ),
        (
            "$!dateTool.addDays($!data.get('date'),-1)",
            "31/12/2019 12:00",
        ),
        (
            "$!dateTool.addHours($!data.get('date'),'7')",
            "01/01/2020 19:00",
        ),
        (
            "$!dateTool.addMinutes($!data.get('date'),15)",
            "01/01/2020 12:15",
        ),
        (
            "$!dateTool.addYears($!data.get('customDate'),2,'HH:mm yyyy-dd-MM')",
            "12:00 2022-30-04",
        ),
        (
            "$!dateTool.addDays($!data.get('dateTime'), 2, \"yyyy-MM-dd'T'HH:mm\",'dd-MM-yyyy')",
            "03-05-2020",
        ),
        (
            "$!dateTool.addHours($!data.get('dateTime'), 7, \"yyyy-MM-dd'T'HH:mm\",'dd/MM HH:mm')",
            "01/05 07:00",
        ),
        (
            "$!dateTool.addMinutes($!data.get('dateTime'), 2, \"yyyy-MM-dd'T'HH:mm\",'HH:mm')",
            "00:02",
        ),
        (
            "$!dateTool.addDays($!data.get('dateTime'), 2)",
            "2020-05-03T00:00",
        ),
        (
            "$!dateTool.addDays('2020-05-01T00:00:00+02:00', 2)",
            "2020-05-03T00:00:00+02:00",
        ),
        (
            "$!dateTool.formatDate('dd.MM.yyyy',$!data.get('ts'))",
            "22.05.2017",
        ),
        (
            "$!dateTool.formatDate('yyyy-MM-dd HH:mm:ss',$!data.get('tsText'))",
            "2017-05-22 21:58:40",
        ),
        ("$!dateTool.diff($!firstDate,$!secondDate,'YEARS')", "1"),
        ("$!dateTool.diff($!firstDate,$!secondDate,'MONTHS')", "16"),
        ("$!dateTool.diff($!firstDate,$!secondDate,'DAYS')", "490"),
        ("$!dateTool.diff($!firstDate,$!secondDate,'HOURS')", "11760"),
        (
            "$!dateTool.diff($!firstDate,$!secondDate,'MINUTES')",
            "705600",
        ),
        (
            "$!dateTool.diff($!customDate1,$!customDate2,'HH:mm dd/MM/yyyy','MINUTES')",
            "706030",
        ),
        (
            "$!dateTool.diff($!customDate1,$!customDate2,'MINUTES','HH:mm dd/MM/yyyy')",
            "706030",
        ),
        ("$!dateTool.currentDate()", "Oct 19, 2003"),
        ("$!dateTool.currentTimeStamp()", "1066589690000"),
        ("$!dateTool.currentDate('yyyy')", "2003"),
        (
            "$!dateTool.currentDate('dd.MM.yyyy HH:mm:ss', 'GMT+3')",
            "19.10.2003 21:54:50",
        ),
        (
            "$!dateTool.currentDate('HH:mm z', 'GMT-05:30')",
            "13:24 GMT-05:30",
        ),
        (
            "$!dateTool.addDays($dateTool.currentDate(), 1)",
            "Oct 20, 2003",
        ),
        (
            "$!dateTool.formatInContactTimezone('dd.MM HH:mm', $zulu)",
            "02.05 01:30",
        ),
        (
            "$mathTool.add(1, 2) $mathTool.sub(3, 1) $mathTool.mul(7, 2) $mathTool.div(7, 2)",
            "3 2 14 3.5",
        ),
        (
            "$numberTool.integer(1341.999) $!numberTool.format('#.00', 7)",
            "1,341 7.00",
        ),
    ] {
        assert_eq!(print(source, &data, "en"), expected, "{source}");
    }
}

#[test]
fn formats_dates_in_the_time_zone_of_the_contact() {
    let options = RenderOptions {
        contact_zone: Some(Tz::America__New_York),
        ..options("en")
    };
    let source = "$dateTool.formatInContactTimezone('dd.MM HH:mm', '2020-05-01T22:30:00Z') \
                  $dateTool.formatInContactTimezone('dd.MM HH:mm', '01/05/2020 22:30:00')";
    let template = Template::parse(source).expect(source);
    let printed = template.render_with(&Context::new().with_tools(), &options);
    assert_eq!(printed.as_deref(), Ok("01.05 18:30 01.05 15:30"));
}

#[test]
fn tools_match_the_manual_of_velocity_tools() {
    for (source, language, expected) in [
        ("$date", "en", "Oct 19, 2003, 9:54:50 PM"),
        ("$date.long_date", "en", "October 19, 2003"),
        ("$date.medium_time", "en", "9:54:50 PM"),
        ("$date.full_date", "en", "Sunday, October 19, 2003"),
        (
            "$date.get('default','short')",
            "en",
            "Oct 19, 2003, 9:54 PM",
        ),
        ("$date.get('yyyy-M-d H:m:s')", "en", "2003-10-19 21:54:50"),
        (
            "$date.year $date.month $date.day $date.yyyy",
            "en",
            "2003 9 19 2003",
        ),
        (
            "$date.format('medium', $date.date)",
            "uk",
            "19 жовт. 2003 р., 21:54:50",
        ),
        (
            "$date.format('full_date', '2040-03-04')",
            "uk",
            "неділя, 4 березня 2040 р.",
        ),
        ("$date.format('long', '2040-03-04')", "de", "4. März 2040"),
        (
            "$date.format('short', 'short', '2040-03-04T12:30')",
            "de",
            "04.03.40, 12:30",
        ),
        (
            "$date.format('d MMMM', '2040-03-04', 'pl')",
            "de",
            "4 marca",
        ),
        ("$date.format('yyyyMMdd', $date)", "en", "20031019"),
        (
            "$date.toDate('dd.MM.yyyy', '04.03.2040')",
            "en",
            "Mar 4, 2040",
        ),
        (
            "#set($d = $date.toDate('EEE, dd MMM yyyy HH:mm:ss Z', 'Wed, 02 Apr 2008 16:23:14 +0000'))$date.format('HH:mm dd.MM', $d)",
            "uk",
            "16:23 02.04",
        ),
        (
            "#if($date.toDate('dd.MM.yyyy', '01.01.2003').before($date.date))past#end",
            "en",
            "past",
        ),
        ("$dateTool.compare('2040-03-04', '2040-03-05')", "en", "-1"),
        (
            "$date.toDate('yyyy-MM-dd HH:mm', '1970-01-01 03:00').time",
            "en",
            "0",
        ),
        (
            "$number.format('currency', 13.55) $number.currency(1341.999)",
            "en",
            "$13.55 $1,342.00",
        ),
        ("$number.currency(1341.999)", "uk", "1\u{a0}342,00\u{a0}₴"),
        ("$number.currency(1341.999)", "en-GB", "£1,342.00"),
        (
            "$number.format('integer', 13.55) $number.integer(-13.55)",
            "en",
            "13 -13",
        ),
        (
            "$number.percent(0.155) $number.format('percent', 0.15)",
            "en",
            "16% 15%",
        ),
        ("$number.percent(0.15)", "de", "15\u{a0}%"),
        (
            "$number.format('number', 1341.999) $number.format(2.5)",
            "de",
            "1.341,999 2,5",
        ),
        ("$number.format('#,##0.00', 1341.999)", "uk", "1,342.00"),
        (
            "$date.format(\"hh 'o''clock'\", '2040-01-02T15:04:05')",
            "en",
            "03 o'clock",
        ),
    ] {
        assert_eq!(
            print(source, &[], language),
            expected,
            "{language} {source}"
        );
    }
}

#[test]
fn missing_and_invalid_arguments_print_nothing() {
    let value = |text: &str| Value::from(text);
    let names = [
        "date",
        "number",
        "math",
        "esc",
        "dateTool",
        "numberTool",
        "mathTool",
    ];
    for hidden in [false, true] {
        let mut data = vec![
            ("soon", value("soon")),
            ("price", value("12,50")),
            ("map", Value::Map(Map::new())),
            ("pattern", value("bad pattern")),
        ];
        if hidden {
            data.extend(names.map(|name| (name, value("2040-03-04T12:30:00+02:00"))));
        }
        for call in [
            "date.format('dd.MM.yyyy', $nope)",
            "date.format('dd.MM.yyyy', $!data.get('nope'))",
            "date.format('dd.MM.yyyy', $soon)",
            "date.format('dd.MM.yyyy', $map)",
            "date.format($nope, '2040-03-04')",
            "date.format($pattern, '2040-03-04')",
            "date.format('dd.MM.yyyy')",
            "date.format()",
            "date.format('dd', '2040-03-04', 'xx')",
            "date.format(1, 2, 3, 4, 5, 6)",
            "date.toDate('dd.MM.yyyy', $soon)",
            "date.get($pattern)",
            "dateTool.addDays($nope, 1)",
            "dateTool.addDays($soon, 1)",
            "dateTool.addDays('2040-03-04', $soon)",
            "dateTool.addDays('2040-03-04', 1.5)",
            "dateTool.addDays('2040-03-04', 999999999999)",
            "dateTool.addDays('2040-03-04')",
            "dateTool.diff('2040-03-04', $nope, 'DAYS')",
            "dateTool.diff('2040-03-04', $soon, 'DAYS')",
            "dateTool.diff('2040-03-04', '2040-03-05', 'LIGHTYEARS')",
            "dateTool.formatDate('dd', $nope)",
            "dateTool.currentDate($pattern)",
            "dateTool.formatInContactTimezone('dd', $soon)",
            "number.format('0.00', $nope)",
            "number.format('0.00', $price)",
            "number.format('0.00', $map)",
            "number.format($soon, 2)",
            "number.format('#,##0.00')",
            "number.currency($price)",
            "number.percent($nope)",
            "numberTool.integer($soon)",
            "numberTool.integer(1, 2)",
            "math.add(1, $nope)",
            "math.add($price, 1)",
            "math.add(1)",
            "math.div(1, 0)",
            "mathTool.roundTo($nope, 1)",
            "esc.html($nope)",
            "esc.url()",
        ] {
            for source in [
                format!("[$!{call}]"),
                format!("[${call}]"),
                format!("[${{{call}}}]"),
            ] {
                assert_eq!(print(&source, &data, "en"), "[]", "{source} {hidden}");
            }
        }
        assert_eq!(
            print(
                "${date.format('dd', $nope)|'later'}#if($number.format('0', $nope))y#else[n]#end",
                &data,
                "en"
            ),
            "later[n]"
        );
    }
}

#[test]
fn a_value_may_have_the_name_of_a_tool() {
    let mut day = Map::new();
    day.insert("from", "2040-03-04");
    day.insert("year", 1999);
    let data = [("date", Value::Map(day)), ("number", "A-17".into())];
    for (source, expected) in [
        (
            "$date.get('from') $date.from $date.year",
            "2040-03-04 2040-03-04 1999",
        ),
        (
            "$date.get('yyyy') $date.format('dd', $date.from)",
            "2003 04",
        ),
        (
            "$number $number.replace('A-', '') $number.format('0.0', 2) $number.length()",
            "A-17 17 2.0 4",
        ),
    ] {
        assert_eq!(print(source, &data, "en"), expected, "{source}");
    }
}

fn findings(errors: Vec<Error>) -> Vec<String> {
    let findings = errors.into_iter().map(|one| {
        let hint = one.hint.unwrap_or_default();
        format!("{}:{} {} / {hint}", one.line, one.column, one.message)
    });
    findings.collect()
}

/// Asserts that there is one finding and that it contains all these pieces.
fn assert_finding(source: &str, findings: &[String], pieces: &[&str]) {
    let [one] = findings else {
        panic!("{source}: {findings:?}");
    };
    for piece in pieces {
        assert!(
            one.contains(piece),
            "{source}: {one} does not contain {piece}"
        );
    }
}

#[test]
fn reports_calls_that_always_fail() {
    for (source, pieces) in [
        (
            "\n $dateTool.frobnicate(1)",
            &["2:12", "$dateTool has no method frobnicate"][..],
        ),
        (
            "$dateTool.addDay($x, 1)",
            &["did you mean $dateTool.addDays"],
        ),
        ("$!date.formatt('dd', $x)", &["did you mean $date.format"]),
        ("$number.curency($x)", &["did you mean $number.currency"]),
        (
            "$mathTool.multiply(1, 2)",
            &["$mathTool has no method multiply", "mul"],
        ),
        ("$dateTool.yaer", &["did you mean $dateTool.year"]),
        ("$date.getCalendar().add(5, 1)", &["addDays"]),
        ("$date.difference($x, $y)", &["$dateTool.diff"]),
        (
            "$stringTool.upper($x)",
            &["there is no tool $stringTool", "$dateTool"],
        ),
        ("$nosuchTool.y()", &["there is no tool $nosuchTool"]),
        ("$DateTool.format('dd', $x)", &["did you mean $dateTool?"]),
        ("$Math.add(1, 2)", &["did you mean $math"]),
        (
            "$StringUtils.upperCase($x)",
            &["there is no tool $StringUtils"],
        ),
        (
            "$display.truncate($x, 10)",
            &["a tool of Velocity that is not available here", "substring"],
        ),
        (
            "$displayTool.truncate($x, 10)",
            &["a tool of Velocity that is not available here"],
        ),
        (
            "#foreach($i in $sorter.sort($l, 'name'))$i#end",
            &["a tool of Velocity"],
        ),
        ("$link.relative('x')", &["a tool of Velocity"]),
        ("$date.format('dd.MM.bbbb', $x)", &["'b' has no meaning"]),
        ("$date.format(\"yyyy 'o\", $x)", &["quote"]),
        (
            "$date.format('2040-03-04T12:00', $x)",
            &["'T' has no meaning", "the pattern comes first"],
        ),
        ("$date.get('iso')", &["'i' has no meaning"]),
        (
            "$date.get('short', 'smal')",
            &["'smal' is not a date style"],
        ),
        (
            "$dateTool.currentDate('HH', 'Mars')",
            &["'Mars' is not a time zone"],
        ),
        (
            "$dateTool.diff($x, $y, 'FORTNIGHTS')",
            &["'FORTNIGHTS' is not a unit", "DAYS"],
        ),
        ("$number.format('money', $x)", &["no # or 0"]),
        (
            "$number.format(\"#,##0.00\", $x)",
            &["digits follow a comma", "double quotes"],
        ),
        ("$number.format('#,##0.0#0', $x)", &["0 comes before #"]),
        (
            "#if($x)#set($y = \"$mathTool.plus(1)\")#end",
            &["has no method plus"],
        ),
    ] {
        let template = Template::parse(source).expect(source);
        let findings = findings(template.tool_errors());
        assert_finding(source, &findings, pieces);
    }
    for sound in [
        "$date $!date $date.year $date.get('yyyy') $date.long $date.yyyy $number $dateTool",
        "$date.format('medium', $x) $date.format('medium', 'short', $x) $date.format('d', $x, 'uk')",
        "$date.substring(0, 4) $number.replace('a', 'b') $date.size() $date.from $date.get($i)",
        "#set($date = 'x')$date.whatever(1) #foreach($number in $l)$number.frob()#end",
        "#macro(m $mathTool)$mathTool.frob()#end #define($someTool)x#end$someTool.y()",
        "$tool.name() $retool $powerTool $powerTool.name $link $xml $link.name() $text.size()",
        "$esc.d ${esc.h}1 $esc.url($x) $math.pi $!numberTool.format('#.00',$v1)",
        "\\$dateTool.frob() #[[$dateTool.frob()]]#",
    ] {
        let template = Template::parse(sound).expect(sound);
        assert_eq!(
            findings(template.tool_errors()),
            Vec::<String>::new(),
            "{sound}"
        );
    }
}

#[test]
fn warns_of_suspicious_calls() {
    for (source, pieces) in [
        ("$date.format('dd.mm.yyyy', $x)", &["minutes", "MM"][..]),
        ("$date.format('dd.MM.YYYY', $x)", &["week", "yyyy"]),
        ("$date.format('DD.MM.yyyy', $x)", &["day of the year", "dd"]),
        ("$date.month", &["counts from 0", "$date.get('M')"]),
        ("$date.format('yyyy')", &["no date", "$date.get('yyyy')"]),
        ("$date.format('yyyy', 'soon')", &["'soon'", "not a date"]),
        ("$dateTool.addDays($x)", &["1 argument", "takes"]),
        ("$number.format('0.00')", &["no number"]),
        ("$number.format('0.00', '12,50')", &["'12,50'", "12.50"]),
        ("$number.format('0,00', $x)", &["comma", "'0.00'"]),
        ("$math.add(1)", &["1 argument"]),
        ("$math.add('a', 1)", &["'a'"]),
        (
            "$date.yaer",
            &["did you mean $date.year", "$data.get('date').yaer"],
        ),
        ("$number.currency($x)", &["UAH", "uk-UA"]),
        ("$number.format('currency', $x)", &["UAH"]),
    ] {
        let template = Template::parse(source).expect(source);
        let locale = Locale::of("uk").expect("uk");
        assert_finding(source, &findings(template.tool_warnings(locale)), pieces);
        assert!(template.tool_errors().is_empty(), "{source}");
    }
    let named = Locale::of("uk-UA").expect("uk-UA");
    for sound in [
        "$number.currency($x) $number.format('currency', 2)",
        "$date.format('HH:mm dd.MM', '2040-03-04') $date.get('D') $date.get('YYYY ww') $date.get('mm')",
        "$dateTool.addDays('01/01/2020', 2) $math.add('1', 2)",
    ] {
        let template = Template::parse(sound).expect(sound);
        assert_eq!(
            findings(template.tool_warnings(named)),
            Vec::<String>::new(),
            "{sound}"
        );
    }
}
