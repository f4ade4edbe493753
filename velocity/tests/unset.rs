//! References without a value: their output and their report.

use promoflow_velocity::{Context, Escape, RenderOptions, Template, Unset, Usage};

fn options(unset: Unset) -> RenderOptions {
    RenderOptions {
        unset,
        ..RenderOptions::default()
    }
}

fn print(source: &str, unset: Unset) -> String {
    let template = Template::parse(source).expect("a template");
    let context = Context::new().with("name", "Ann").with_tools();
    template
        .render_with(&context, &options(unset))
        .expect("rendered")
}

#[test]
fn unset_references_print_nothing_with_that_option() {
    for (source, printed) in [
        ("Hi $firstNmae!", "Hi !"),
        ("${order.total} EUR", " EUR"),
        ("$data.get('x')$foo.bar()$name", "Ann"),
        ("#set($g = \"Hi $firstNmae\")$g, $name", "Hi , Ann"),
        ("#set($g = 'a' + $none + 'b')$g", "ab"),
        ("$none$NAME $name$none", " Ann"),
        ("\\$none \\$name", "$none $name"),
        ("\\\\$none!", "\\!"),
        ("$$none", "$"),
        ("#macro(m $x)[$x]#end#m($none)", "[]"),
        ("#evaluate('$none$name')", "Ann"),
    ] {
        assert_eq!(print(source, Unset::Nothing), printed, "{source}");
    }
    // The default is that of Velocity.
    let source = "Hi $firstNmae, ${order.total} #set($g = 'a' + $none)$g";
    assert_eq!(
        print(source, Unset::default()),
        "Hi $firstNmae, ${order.total} a$none"
    );
}

#[test]
fn keeps_dollar_signs_of_the_text() {
    let source = "Only $5, $5.99, US$ 10, A$AP, US$ABC, $US 10, 10$off, $AP, $$, $1,000.00";
    assert_eq!(print(source, Unset::Nothing), source);
    for (source, printed) in [
        ("A${AP} A$!AP $AP.x", "A A "),
        ("Hi$NAME x$code 1$total1", "Hi x 1"),
        ("A$name 5$name", "AAnn 5Ann"),
    ] {
        assert_eq!(print(source, Unset::Nothing), printed, "{source}");
    }
}

#[test]
fn reports_unset_references_with_positions() {
    let source = "Hi $firstNmae $!quiet ${a|'b'}\n#if($x)$x#end ${order.total} A$AP $name";
    let template = Template::parse(source).expect("a template");
    let rendered = template
        .render_reporting(
            &Context::new().with("name", "Ann"),
            &options(Unset::Nothing),
            &|_, _| None,
        )
        .expect("rendered");
    let lines: Vec<_> = rendered
        .unset
        .iter()
        .map(|one| (one.source.as_str(), one.line, one.column))
        .collect();
    assert_eq!(
        lines,
        [
            ("$firstNmae", 1, 4),
            ("${order.total}", 2, 15),
            ("$AP", 2, 31)
        ]
    );
}

#[test]
fn references_have_a_usage() {
    let source = "$a $!b ${c|$d} A$AP $f.g($h) $!i.j($k) #if($l)#end #set($m = $n) \
                  #foreach($o in $p)#end \"#set($q = \"$r\")\"";
    let template = Template::parse(source).expect("a template");
    let usages: Vec<_> = template
        .references()
        .into_iter()
        .map(|one| (one.variable, one.usage))
        .collect();
    let expected = [
        ("a", Usage::Printed),
        ("b", Usage::Optional),
        ("c", Usage::Optional),
        ("d", Usage::Read),
        ("AP", Usage::Text),
        ("f", Usage::Printed),
        ("h", Usage::Printed),
        ("i", Usage::Optional),
        ("k", Usage::Optional),
        ("l", Usage::Tested),
        ("n", Usage::Read),
        ("p", Usage::Read),
        ("r", Usage::Printed),
    ];
    let expected: Vec<_> = expected
        .into_iter()
        .map(|(name, usage)| (name.to_owned(), usage))
        .collect();
    assert_eq!(usages, expected);
}

#[test]
fn names_directives_without_parentheses() {
    for (source, column, message) in [
        (
            "<a href=\"/p#if\">x</a>",
            12,
            "#if needs a condition, such as #if($name); if #if is text",
        ),
        ("/p#foreach", 3, "#foreach needs a list"),
        ("/p#define", 3, "#define needs a name"),
        (
            "/p#end",
            3,
            "#end without an open block; if #end is text here",
        ),
        ("/p#else", 3, "#else without an open #if"),
        ("#if(true)a#elseif b#end", 11, "#elseif needs a condition"),
    ] {
        let error = Template::parse(source).expect_err(source);
        assert!(error.message.contains(message), "{error}");
        assert_eq!(error.column, column, "{error}");
    }
    let written = print("<a href=\"/p#[[#if]]#\">#{if}(true)x#end", Unset::Nothing);
    assert_eq!(written, "<a href=\"/p#if\">x");
    assert_eq!(
        print("#if (true)a#elseif\n(false)b#end", Unset::Nothing),
        "a"
    );
}

#[test]
fn reads_tags_in_quotes_and_encodes_them_in_addresses() {
    let is_tag = |_: &str, name: &str, _: &str| {
        let upper = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_uppercase());
        upper.then(|| name.to_lowercase())
    };
    let value = |key: &str, _: &str| match key {
        "name" => Some("Tom & <Jerry>".to_owned()),
        "email" => Some("tom+x@example.com".to_owned()),
        "url" => Some("https://shop.example/?a=1&b=2".to_owned()),
        "code" => Some("%code%".to_owned()),
        _ => None,
    };
    let print = |source: &str, escape| {
        let template = Template::parse_with_tags(source, &Default::default(), &is_tag);
        let options = RenderOptions {
            escape,
            ..RenderOptions::default()
        };
        let context = Context::new().with("base", "https://shop.example");
        template
            .expect("a template")
            .render_with_tags(&context, &options, &value)
            .expect("rendered")
    };
    for (source, printed) in [
        (
            "#set($g = \"Dear %NAME%\")$g",
            "Dear Tom &amp; &lt;Jerry&gt;",
        ),
        ("#set($g = 'Dear %NONE|friend%')$g", "Dear friend"),
        ("#if('%EMAIL%' == \"tom+x@example.com\")yes#end", "yes"),
        ("${none|'%NAME|x%'}", "Tom &amp; &lt;Jerry&gt;"),
        ("#foreach($i in ['%NONE|a%', 'b'])$i#end", "ab"),
        ("#macro(m $x)$x#end#m('%NONE|a%')", "a"),
        (
            "<a href=\"/?n=%NAME%&e=%EMAIL%\">%NAME%</a>",
            "<a href=\"/?n=Tom%20%26%20%3CJerry%3E&e=tom%2Bx%40example.com\">Tom &amp; &lt;Jerry&gt;</a>",
        ),
        (
            "<a href=\"%URL%\">",
            "<a href=\"https://shop.example/?a=1&amp;b=2\">",
        ),
        (
            "<a href=\"%URL%&n=%NAME%\">",
            "<a href=\"https://shop.example/?a=1&amp;b=2&n=Tom%20%26%20%3CJerry%3E\">",
        ),
        (
            "<a href='mailto:%EMAIL%'>",
            "<a href='mailto:tom+x@example.com'>",
        ),
        (
            "<a href=\"$base/p?n=%NONE|dear friend%\">",
            "<a href=\"https://shop.example/p?n=dear%20friend\">",
        ),
        ("<a href=\"/?c=%CODE%\">", "<a href=\"/?c=%code%\">"),
        (
            "#set($l = \"https://shop.example/?n=%NAME%\")<a href=\"$l\">",
            "<a href=\"https://shop.example/?n=Tom%20%26%20%3CJerry%3E\">",
        ),
        (
            "#define($l)/?n=%NAME%#end<a href=\"$l\">",
            "<a href=\"/?n=Tom%20%26%20%3CJerry%3E\">",
        ),
    ] {
        assert_eq!(print(source, Escape::Html), printed, "{source}");
    }
    for (source, printed) in [
        (
            "%NAME%: https://shop.example/?e=%EMAIL% for %EMAIL%",
            "Tom & <Jerry>: https://shop.example/?e=tom%2Bx%40example.com for tom+x@example.com",
        ),
        (
            "$base/?e=%EMAIL%",
            "https://shop.example/?e=tom%2Bx%40example.com",
        ),
        ("and/or/%EMAIL%", "and/or/tom+x@example.com"),
    ] {
        assert_eq!(print(source, Escape::None), printed, "{source}");
    }
}
