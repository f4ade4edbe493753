//! Behaviour that the recorded cases do not cover: errors, escaping, typographic quotes,
//! references, tools.

use promoflow_velocity::{Context, Error, Escape, Map, RenderOptions, Template, Value};

fn context() -> Context {
    let mut data = Map::new();
    data.insert("promocode", "A&B <1>");
    data.insert("name", "Їжак");
    data.insert("total", 1234.5);
    data.insert("tags", vec!["a", "b"]);
    Context::new().with("data", data).with("first", "O'Neil")
}

fn render(source: &str) -> Result<String, Error> {
    Template::parse(source)?.render(&context())
}

fn html(source: &str) -> String {
    let options = RenderOptions {
        escape: Escape::Html,
        ..RenderOptions::default()
    };
    let template = Template::parse(source).expect("a template");
    template
        .render_with(&context(), &options)
        .expect("rendered")
}

#[track_caller]
fn assert_error(source: &str, line: u32, column: u32, part: &str) {
    let error = render(source).expect_err(source);
    assert!(error.message.contains(part), "{error} in {source}");
    assert_eq!(
        (error.line, error.column),
        (line, column),
        "{error} in {source}"
    );
}

#[test]
fn url_escaping_keeps_a_value_in_one_part() {
    let context = Context::new().with("to", "../a b?c&d#\u{457}+~");
    let options = RenderOptions {
        escape: Escape::Url,
        ..RenderOptions::default()
    };
    let render = |source: &str| {
        let template = Template::parse(source).expect("a template");
        template.render_with(&context, &options).expect("rendered")
    };
    let escaped = "..%2Fa%20b%3Fc%26d%23%D1%97%2B~";
    assert_eq!(render("/send?to=$to"), format!("/send?to={escaped}"));
    assert_eq!(render("#set($x = \"$to\")/$x/"), format!("/{escaped}/"));
    assert_eq!(render("$to.substring(3)"), "a%20b%3Fc%26d%23%D1%97%2B~");
    assert_eq!(render("$esc.raw($to)"), "../a b?c&d#\u{457}+~");
}

#[test]
fn syntax_errors_have_a_position_and_an_expectation() {
    assert_error("a\n#if($x)b", 2, 9, "expected #end for the #if in line 2");
    assert_error("a #end", 1, 3, "without an open block");
    assert_error("Привіт #if($x == )", 1, 18, "expected a value");
    assert_error("🎁\r\n  #set($x 1)", 2, 11, "expected '='");
    assert_error("#set(x = 1)", 1, 6, "expected a reference");
    assert_error("#set($x = hello)", 1, 11, "'hello'");
    assert_error("#set($x = 'abc)", 1, 11, "the closing ' is missing");
    assert_error("$data.get('a'", 1, 14, "expected ',' or ')'");
    assert_error("${data.name", 1, 12, "expected '}'");
    assert_error("$data.tags[0", 1, 13, "expected ']'");
    assert_error("#foreach($i $data.tags)#end", 1, 1, "'in'");
    assert_error(
        "#foreach($i in $data.tags)\n$i",
        2,
        3,
        "expected #end for the #foreach in line 1",
    );
    assert_error("\n#[[ $x", 2, 1, "]]#");
    assert_error(
        "#set($x = \"Hi $data.get('a'\")",
        1,
        28,
        "expected ',' or ')'",
    );
    assert_error(" #include('a')", 1, 2, "not available");
    assert_error("#macro('a')x#end", 1, 1, "name of the macro");
}

#[test]
fn runtime_errors_have_a_position() {
    assert_error("a\n b $data.tags.get(5)", 2, 15, "no element 5");
    assert_error("$data.name.substring(0, 9)", 1, 12, "length 4");
    assert_error("x #evaluate('#if(')", 1, 3, "in #evaluate");
    assert_error(
        "#foreach($t in $data.tags)$!data.tags.add($t)#end",
        1,
        1,
        "changed",
    );
}

#[test]
fn parse_finds_syntax_errors_without_a_context() {
    let error = Template::parse("#if(").expect_err("no template");
    assert_eq!(
        error.to_string(),
        format!("{} (line 1, column 5)", error.message)
    );
}

#[test]
fn escapes_values_but_not_text() {
    assert_eq!(html("<b>$data.promocode</b>"), "<b>A&amp;B &lt;1&gt;</b>");
    assert_eq!(html("$first $!{first}"), "O&#39;Neil O&#39;Neil");
    assert_eq!(html("$data.tags"), "[a, b]");
    assert_eq!(html("$nope<br>"), "$nope<br>");
    assert_eq!(
        html("$esc.raw($first) $esc.none($data.promocode)"),
        "O'Neil A&B <1>"
    );
    assert_eq!(html("$esc.html($data.promocode)"), "A&amp;B &lt;1&gt;");
    assert_eq!(
        html("#set($x = '<i>')$x#if($x == '<i>')same#end"),
        "&lt;i&gt;same"
    );
    assert_eq!(html("#set($x = \"<i>$first\")$x"), "&lt;i&gt;O&#39;Neil");
    assert_eq!(html("#define($d)<i>$first</i>#end$d"), "<i>O&#39;Neil</i>");
    assert_eq!(
        html("#macro(m $a)<i>$a</i>#end#m($first)"),
        "<i>O&#39;Neil</i>"
    );
    assert_eq!(
        render("<b>$data.promocode</b>"),
        Ok("<b>A&B <1></b>".to_owned())
    );
}

#[test]
fn typographic_quotes_equal_plain_ones() {
    for argument in [
        "'name'",
        "\"name\"",
        "‘name’",
        "’name’",
        "‚name‘",
        "“name”",
        "„name“",
        "”name”",
        "&#39;name&#39;",
        "'name’",
        "‘name'",
        "\u{a0}'name'\u{a0}",
        "\u{a0}‘name’ ",
    ] {
        for (source, expected) in [
            (format!("$!data.get({argument})"), "Їжак"),
            (format!("$!{{data.get({argument})}}!"), "Їжак!"),
            (format!("$!data[{argument}]"), "Їжак"),
            (format!("#set($k = {argument})$k"), "name"),
            (format!("#if({argument} == 'name')same#end"), "same"),
        ] {
            assert_eq!(render(&source).as_deref(), Ok(expected), "{source}");
        }
    }
    assert_eq!(render("#set($s = ‘ім’я’)$s").as_deref(), Ok("ім’я"));
    assert_eq!(render("#set($s = “$first”)$s").as_deref(), Ok("O'Neil"));
    assert_eq!(render("#set($l = [‘a’, “b”])$l").as_deref(), Ok("[a, b]"));
    assert_eq!(
        render("“$first” &#39;$first&#39;").as_deref(),
        Ok("“O'Neil” &#39;O'Neil&#39;")
    );
    assert!(render("$!data.get(&quot;name&quot;)").is_err());
    assert!(render("$!data.get(`name`)").is_err());
}

#[test]
fn counters_of_both_versions_work() {
    let source =
        "#foreach($t in $data.tags)$velocityCount/$foreach.count$t#if($velocityHasNext), #end#end";
    assert_eq!(render(source).as_deref(), Ok("1/1a, 2/2b"));
    assert_eq!(
        render("$velocityCount $!velocityHasNext").as_deref(),
        Ok("$velocityCount ")
    );
    let nested = "#foreach($a in [1,2])#foreach($b in [1,2,3])#end$velocityCount#end";
    assert_eq!(render(nested).as_deref(), Ok("12"));
}

#[test]
fn reflection_prints_nothing() {
    for source in [
        "[$data.getClass()]",
        "[$data.name.getClass().getName()]",
        "[$data.name.class.name]",
        "[$!first.class.forName('java.lang.Runtime').getRuntime()]",
    ] {
        assert_eq!(render(source).as_deref(), Ok("[]"), "{source}");
    }
}

#[test]
fn rendering_does_not_change_the_context() {
    let template =
        Template::parse("#set($data.name = 'x')$!data.tags.add('c')$data.tags$data.name");
    let template = template.expect("a template");
    let context = context();
    for _ in 0..2 {
        assert_eq!(template.render(&context).as_deref(), Ok("true[a, b, c]x"));
    }
}

#[test]
fn templates_are_shared_between_threads() {
    let template = Template::parse("$data.name").expect("a template");
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| assert_eq!(template.render(&context()).as_deref(), Ok("Їжак")));
        }
    });
}

#[test]
fn lists_the_references_of_a_template() {
    let source = "Hi $!{data['name']}, $first!\n\
        #set($own = $data.get(\"promocode\"))$own\n\
        #foreach($tag in $data.tags)$tag.label $foreach.count#end\
        #set($s = \"text $inner\")$data.get($key).x \\$escaped $!data.getOrDefault('till', $default)\
        #set($data.made = 1)$data.made ${a|$b}\n\
        #macro(m $p)$p $free#end#m($argument)";
    let template = Template::parse(source).expect("a template");
    let found: Vec<_> = template
        .references()
        .into_iter()
        .map(|r| match r.key {
            Some(key) => format!("{}.{key} {}:{}", r.variable, r.line, r.column),
            None => format!("{} {}:{}", r.variable, r.line, r.column),
        })
        .collect();
    assert_eq!(
        found,
        [
            "data.name 1:4",
            "first 1:22",
            "data.promocode 2:13",
            "data.tags 3:18",
            "inner 3:74",
            "data 3:82",
            "key 3:92",
            "data.till 3:110",
            "default 3:138",
            "a 3:178",
            "b 3:182",
            "free 4:16",
            "argument 4:28",
        ]
    );
}

#[test]
fn tools_are_available_if_provided() {
    let context = context().with_tools();
    let render = |source: &str| Template::parse(source)?.render(&context);
    for (source, expected) in [
        (
            "$math.add(1, 2) $mathTool.div(7, 2) $math.roundTo(2, 3.14159)",
            "3 3.5 3.14",
        ),
        ("$math.round(2.5) $math.max(3, '7') $math.abs(-2)", "3 7 2"),
        (
            "$number.format('#,##0.00', $data.total) $number.format('0%', 0.15)",
            "1,234.50 15%",
        ),
        (
            "$date.format('dd.MM.yyyy', '2017-12-31T23:59')",
            "31.12.2017",
        ),
        ("$dateTool.format('yyyy', 0)", "1970"),
        (
            "$esc.url('a b&я') $esc.html('<') ${esc.d}x",
            "a+b%26%D1%8F &lt; $x",
        ),
        ("[$!number.format('0.0', $nope)]", "[]"),
    ] {
        assert_eq!(render(source).as_deref(), Ok(expected), "{source}");
    }
    let hidden = Context::new().with_tools().with("esc", "mine");
    let template = Template::parse("$esc").expect("a template");
    assert_eq!(template.render(&hidden).as_deref(), Ok("mine"));
}

#[test]
fn numbers_print_as_written() {
    let context = Context::new()
        .with("int", 10)
        .with("double", 10.0)
        .with("big", Value::Big(123_456_789_012_345_678_901_234_567_890))
        .with("none", None::<i64>);
    let template = Template::parse("$int $double $big [$!none]").expect("a template");
    assert_eq!(
        template.render(&context).as_deref(),
        Ok("10 10.0 123456789012345678901234567890 []")
    );
}
