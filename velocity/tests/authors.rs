//! Extensions of Velocity's syntax, and errors that are found before rendering.

use promoflow_velocity::{
    Context, Error, Escape, Map, ParseOptions, RenderOptions, Template, Value,
};

fn context() -> Context {
    let mut data = Map::new();
    data.insert("promocode", "SPRING");
    data.insert("name", "Ann");
    data.insert("tags", vec!["a", "b"]);
    Context::new().with("data", data).with("name", "Ann")
}

fn print(source: &str, spaced_calls: bool) -> Result<String, Error> {
    Template::parse_with(source, &ParseOptions { spaced_calls })?.render(&context())
}

#[test]
fn spaced_calls_ignore_blanks_before_the_parenthesis_of_get() {
    for (source, printed) in [
        ("$!data.get ('promocode')!", "SPRING!"),
        ("$!data.get\u{a0}('promocode')!", "SPRING!"),
        ("$!data.get \t\u{202f}( \n'promocode' )!", "SPRING!"),
        ("$!data.get (‘promocode’)!", "SPRING!"),
        ("$!data.get (&#39;promocode&#39;)!", "SPRING!"),
        ("$!{data.get (\"promocode\")}!", "SPRING!"),
        ("$!data.get ('tags').get (1)!", "b!"),
        ("$!data.get ('none')!", "!"),
        ("$data.get ('none')!", "$data.get ('none')!"),
        ("#set($c = $data.get ('promocode'))$c", "SPRING"),
        ("#set($c = \"to $data.get ('name')\")$c", "to Ann"),
        ("#if($data.get\u{a0}('name') == 'Ann')yes#end", "yes"),
        ("#evaluate('$data.get (''name'')')", "Ann"),
    ] {
        assert_eq!(print(source, true).as_deref(), Ok(printed), "{source}");
    }
    let key = Template::parse_with("$data.get ('x')", &ParseOptions { spaced_calls: true });
    let references = key.expect("a template").references();
    assert_eq!(references[0].key.as_deref(), Some("x"));
}

#[test]
fn other_parentheses_after_blanks_are_text() {
    for (source, printed) in [
        ("$name (note)", "Ann (note)"),
        ("$name ('note')", "Ann ('note')"),
        ("$data.name ('note')", "Ann ('note')"),
        ("$data.get('name') ('note')", "Ann ('note')"),
        ("$data.name. get ('note')", "Ann. get ('note')"),
        ("$!data.get (note)", " (note)"),
        ("$!data.get ('a', 'b')", " ('a', 'b')"),
        ("$!data.get ('a' is one)", " ('a' is one)"),
        ("$!data.get ()", " ()"),
        ("$!data.get\n('name')", "\n('name')"),
        ("$!data.get ('name'", " ('name'"),
    ] {
        assert_eq!(print(source, true).as_deref(), Ok(printed), "{source}");
    }
    let far = format!("$!data.get ('{}')", "x".repeat(1_000));
    assert!(print(&far, true).is_ok_and(|text| text.starts_with(" ('x")));
    let plain = "[$!data.get ('promocode')]";
    assert_eq!(print(plain, false).as_deref(), Ok("[ ('promocode')]"));
}

#[test]
fn finds_certain_errors_before_rendering() {
    let faults = |source: &str| {
        let template = Template::parse(source).expect(source);
        let faults = template.certain_errors().into_iter();
        faults
            .map(|fault| (fault.line, fault.column, fault.message))
            .collect::<Vec<_>>()
    };
    for (source, column, part) in [
        (
            "#macro(hi $x)$x#end #hi(Ann)",
            21,
            "in ' or \" quotes, found 'Ann'",
        ),
        ("a #evaluate('#if(true)x')", 3, "expected #end for the #if"),
        (
            "$!data.get('name').replaceAll('(', '')",
            20,
            "'(' is not a supported regular expression: unclosed group",
        ),
        ("#if($x.matches('['))#end", 8, "unclosed character class"),
        ("#set($p = $data.name.split('(?=a)'))", 22, "look-around"),
        (
            "#macro(m)$x.replaceFirst('*', 'b')#end",
            13,
            "repetition operator missing",
        ),
    ] {
        let found = faults(source);
        assert_eq!(found.len(), 1, "{found:?} in {source}");
        assert_eq!((found[0].0, found[0].1), (1, column), "{source}");
        assert!(found[0].2.contains(part), "{found:?} in {source}");
        // Rendering reports the same error if it reaches that place.
        if let Err(error) = Template::parse(source).and_then(|one| one.render(&context())) {
            assert_eq!(error.message, found[0].2);
        }
    }
    let all = "#hi(Ann) #evaluate($x) #evaluate('$x') $x.matches($p) $x.matches('a+', 1) $x.get('(') \
               \\$x.matches('(')";
    assert_eq!(faults(all), []);
    let two = "$x.matches('(')\n #evaluate('#end')";
    let places: Vec<_> = faults(two).iter().map(|fault| (fault.0, fault.1)).collect();
    assert_eq!(places, [(1, 4), (2, 2)]);
    let many = format!(
        "{}#evaluate('#end')",
        "$x.matches('[a-z]{40}')".repeat(10_000)
    );
    assert_eq!(faults(&many), [], "the search is limited");
}

#[test]
fn errors_say_what_was_expected() {
    for (source, found) in [
        ("$!data.get(`promocode`)", "'`'"),
        ("$!data.get(«promocode»)", "'«'"),
        ("$!data.get(&quot;promocode&quot;)", "'&'"),
        ("$!data.get(&rsquo;promocode&rsquo;)", "'&'"),
    ] {
        let error = print(source, true).expect_err(source);
        assert_eq!((error.line, error.column), (1, 12), "{source}");
        assert_eq!(
            error.message,
            format!(
                "unexpected {found} in the parentheses of a method call: expected values, such as \
                 a text in ' or \" quotes, with commas between them"
            )
        );
    }
    for source in ["$x[`]", "${x|`}", "#if(`a`)#end", "#set($x = «a»)"] {
        let error = print(source, true).expect_err(source);
        assert!(error.message.contains("in ' or \" quotes"), "{error}");
    }
}

#[test]
fn tool_methods_work_despite_a_value_with_the_tools_name() {
    let names = [
        "esc",
        "math",
        "mathTool",
        "number",
        "numberTool",
        "date",
        "dateTool",
    ];
    let list = Value::from(vec!["x"]);
    for value in [Value::from("2026-05-01"), list] {
        let context = names.iter().fold(context().with_tools(), |context, name| {
            context.with(*name, value.clone())
        });
        let options = RenderOptions {
            escape: Escape::Html,
            ..RenderOptions::default()
        };
        let print = |source: &str| {
            let template = Template::parse(source).expect("a template");
            template
                .render_with(&context, &options)
                .expect("it renders")
        };
        assert_eq!(print("$esc.url('a b') $esc.raw('<b>') $esc.d"), "a+b <b> $");
        let sums = "$math.add(1, 2) $mathTool.add(1, 2) $math.add($number.size(), 2)";
        let size = if print("$date").starts_with('[') {
            "3"
        } else {
            ""
        };
        assert_eq!(print(sums), format!("3 3 {size}"));
        let formats = "$number.format('0.0', 2) $numberTool.integer(2.5) \
                       $date.format('dd.MM', '2026-12-31') $dateTool.format('yyyy', '2026-12-31')";
        assert_eq!(print(formats), "2.0 2 31.12 2026");
    }
    let context = context().with_tools().with("date", "2026-05-01");
    let print = |source: &str| Template::parse(source).and_then(|one| one.render(&context));
    let own = "$date $date.substring(0, 4) $date.format('dd', $date) #set($date = 'x')$date.year $date.length()";
    assert_eq!(print(own).as_deref(), Ok("2026-05-01 2026 01 $date.year 1"));
}
