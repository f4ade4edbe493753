//! Property tests: no template panics, and none exceeds the limits.

use std::time::{Duration, Instant};

use promoflow_velocity::{
    Context, Escape, Limits, Map, ParseOptions, RenderOptions, Template, Value,
};
use proptest::prelude::*;

/// Fragments of templates, well-formed or not.
const PIECES: [&str; 80] = [
    "%TAG%",
    "%TAG|instead%",
    "%TAG|",
    "%%",
    "%",
    "$data",
    "$!data",
    "${data",
    "$x",
    "$!{x}",
    "$y",
    ".name",
    ".get('a')",
    ".get(\"$x\")",
    "[0]",
    "[$i]",
    "['k']",
    "(",
    ")",
    "{",
    "}",
    "|",
    "'d'",
    "\"",
    "'",
    "\\",
    "#if(",
    "#if($x)",
    "#elseif(true)",
    "#else",
    "#{else}",
    "#end",
    "#foreach($i in $list)",
    "#foreach($i in [1..9])",
    "#foreach($i in [1..1000000000])",
    "#set($x = ",
    "#set($x = \"$x$x\")",
    "#set($x = [$x])",
    "#set($x = $x + 1)",
    "#macro(m $a)",
    "#m($x)",
    "#m(1 2)",
    "#@m()",
    "#define($y)",
    "#evaluate(",
    "#evaluate($x)",
    "#break",
    "#stop",
    "##",
    "#*",
    "*#",
    "#[[",
    "]]#",
    "\n",
    "\r\n",
    "  ",
    " ",
    "==",
    "!=",
    "&&",
    "||",
    "<",
    ">=",
    "+",
    "-",
    "*",
    "/",
    "%",
    "1",
    "2.5",
    "..",
    ",",
    ":",
    "$list.add($list)",
    "$x.substring(1)",
    "$x.repeat(99)",
    "$x.replaceAll('(a*)*b', '$1')",
    "\u{1c}",
    "‘x’",
    "Їжак 🎁",
];

/// Constructs that print a value.
const CONSTRUCTS: [&str; 14] = [
    "$v",
    "$!{v}",
    "$!data.get('v')",
    "$data.v",
    "${data.none|$v}",
    "#set($x = $v)$x",
    "#set($x = \"a $v b\")$x",
    "#set($x = $v + $v)$x",
    "$v.toUpperCase().trim().replace('a', 'b')",
    "$v.concat($v).substring(0)",
    "#foreach($i in $list)$i#end$list",
    "#define($x)[$v]#end$x",
    "#macro(m $a)$a#end#m($v)",
    "#set($m = {'k': $v})$m.k $m.get('k')",
];

fn context() -> Context {
    let mut data = Map::new();
    data.insert("name", "Olena");
    data.insert("a", 1);
    Context::new()
        .with("data", data)
        .with("x", "aaaa")
        .with("list", vec![Value::from(1), Value::from("b"), Value::Null])
}

fn small_limits() -> Limits {
    Limits {
        loop_iterations: 1_000,
        output_bytes: 10_000,
        work: 1_000_000,
        ..Limits::default()
    }
}

fn check(source: &str, escape: Escape) {
    let is_tag = |_: &str, name: &str, _: &str| (name == "TAG").then(|| name.to_owned());
    let Ok(template) = Template::parse_with_tags(source, &ParseOptions::default(), &is_tag) else {
        return;
    };
    template.references();
    let value = |_: &str, _: &str| Some("<%TAG%>".to_owned());
    let options = RenderOptions {
        limits: small_limits(),
        escape,
        ..RenderOptions::default()
    };
    let started = Instant::now();
    if let Ok(output) = template.render_with_tags(&context(), &options, &value) {
        assert!(
            output.len() <= options.limits.output_bytes,
            "{} bytes",
            output.len()
        );
    }
    let spent = started.elapsed();
    assert!(spent < Duration::from_secs(5), "{spent:?} for {source}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn fragments_do_not_panic(
        pieces in prop::collection::vec(prop::sample::select(&PIECES[..]), 0..40),
        html in any::<bool>(),
    ) {
        let escape = if html { Escape::Html } else { Escape::None };
        check(&pieces.concat(), escape);
    }

    /// No value prints characters that are significant in HTML, however it is passed on.
    #[test]
    fn html_escaping_prints_no_value_as_markup(
        way in prop::sample::select(&CONSTRUCTS[..]),
        before in "[a-z ]{0,5}",
        value in "[<>\"'&a-z ]{0,20}",
    ) {
        let template = Template::parse(way).expect("a template");
        let options = RenderOptions { escape: Escape::Html, ..RenderOptions::default() };
        let mut data = Map::new();
        data.insert("v", value.as_str());
        let value = format!("{before}{value}");
        let context = Context::new().with("v", value.as_str()).with("data", data).with("list", vec![value]);
        let output = template.render_with(&context.with_tools(), &options).expect("it renders");
        let strange = output.contains(['<', '>', '"', '\'']);
        prop_assert!(!strange, "{way} printed {output}");
    }

    #[test]
    fn any_text_does_not_panic(source in "\\PC{0,60}") {
        check(&source, Escape::None);
    }

    #[test]
    fn symbols_do_not_panic(source in "[$#{}()\\[\\]!.'\"\\\\|a \n1=@*-]{0,40}") {
        check(&source, Escape::None);
    }

    #[test]
    fn text_without_symbols_is_unchanged(source in "[^$#\\\\\u{1c}]{0,80}") {
        let template = Template::parse(&source).expect("plain text");
        prop_assert_eq!(template.render(&Context::new()).expect("plain text"), source);
    }

    #[test]
    fn json_does_not_panic(source in "[\\[\\]{}:,\"\\\\u0-9a-f.eE+ -]{0,40}") {
        let _ = Value::from_json(&source);
    }
}
