//! The limits for untrusted templates, and the positions in their errors.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use promoflow_velocity::{
    Allowance, Context, Error, Limits, MAX_WORK, RenderOptions, Template, Value,
};

/// Renders with the default limits, which must not take long.
fn render(source: &str) -> Result<String, Error> {
    let started = Instant::now();
    let context = Context::new().with("list", vec![Value::from(1), Value::from(2)]);
    let result = Template::parse(source).and_then(|template| template.render(&context));
    let spent = started.elapsed();
    assert!(spent < Duration::from_secs(60), "{spent:?} for {source}");
    result
}

fn refused(source: &str) -> Error {
    match render(source) {
        Err(error) => error,
        Ok(output) => panic!("{source} gave {} bytes", output.len()),
    }
}

#[test]
fn limits_loop_iterations() {
    let error = refused("\n  #foreach($i in [1..1000000000])$i#end");
    assert_eq!((error.line, error.column), (2, 3));
    assert!(error.message.contains("loop iterations"), "{error}");
    refused(
        "#foreach($a in [1..1000])#foreach($b in [1..1000])#foreach($c in [1..1000])#end#end#end",
    );
    let cap = Limits {
        loop_iterations: 3,
        ..Limits::default()
    };
    let options = RenderOptions {
        limits: cap,
        ..RenderOptions::default()
    };
    let template = |source| Template::parse(source).expect("a template");
    let context = Context::new();
    let three = template("#foreach($i in [1..3])$i#end");
    assert_eq!(three.render_with(&context, &options), Ok("123".to_owned()));
    let four = template("#foreach($i in [1..4])$i#end");
    assert!(four.render_with(&context, &options).is_err());
}

#[test]
fn limits_doubling_texts() {
    refused("#set($s = 'x')#foreach($i in [1..100])#set($s = \"$s$s\")#end");
    refused("#set($s = 'x')#foreach($i in [1..100])#set($s = $s + $s)#end");
    refused("#set($s = 'x')#foreach($i in [1..100])#set($s = $s.concat($s))#end");
    refused("#set($s = 'ab')#foreach($i in [1..100])#set($s = $s.replace('a', $s))#end");
    refused("#set($s = 'ab')#foreach($i in [1..100])#set($s = $s.replaceAll('a', $s))#end");
    refused("#set($s = 'ab')$s.repeat(2000000000)");
    refused("#set($s = '')$s.format('%2000000000d', 1)");
    refused("#set($l = [1])#foreach($i in [1..100])#set($ok = $l.addAll($l))#end");
    refused("#set($l = [1])#foreach($i in [1..80])#set($l = [$l, $l])#end$l");
    refused("#set($l = [1])#foreach($i in [1..80])#set($l = [$l, $l])#end$l.hashCode()");
    refused("#set($r = [1..2000000000])$r");
    refused("#define($d)$d$d#end$d");
}

#[test]
fn large_ranges_are_free_unless_iterated() {
    assert_eq!(
        render("#set($r = [1..1000000000])$r.size() $r.get(5) $r[-1]"),
        Ok("1000000000 6 1000000000".to_owned())
    );
}

#[test]
fn limits_output() {
    let mut source = "x".repeat(1000);
    source = format!("#foreach($i in [1..99999]){source}#end");
    let error = refused(&source);
    assert!(error.message.contains("output"), "{error}");
}

#[test]
fn limits_patterns() {
    refused("#set($s = 'a')$s.matches('(((a{1000}){1000}){1000})')");
    render("#set($s = 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa')$s.matches('(a*)*b')")
        .expect("linear time");
    refused(
        "#set($s = 'a')#set($s = $s.repeat(4000000))#foreach($i in [1..100])$s.matches('(a|b|ab)*c(a*)*')#end",
    );
    refused("#set($s = 'a')$s.matches('(a')");
    refused(&format!(
        "#set($s = 'a')$s.matches('{}')",
        "(".repeat(100_000)
    ));
}

#[test]
fn limits_nesting() {
    let nested = |open: &str, inner: &str, close: &str, times: usize| {
        format!("{}{inner}{}", open.repeat(times), close.repeat(times))
    };
    for times in [99, 1_000, 100_000] {
        for (open, inner, close) in [
            ("#if(true)", "x", "#end"),
            ("#foreach($i in $list)", "x", "#end"),
            ("#define($d)", "x", "#end"),
            ("#@m()", "x", "#end"),
            ("#set($x = [", "1", "])"),
        ] {
            let _ = render(&nested(open, inner, close, times));
        }
        for (open, inner, close) in [
            ("(", "1", ")"),
            ("[", "1", "]"),
            ("{'a':", "1", "}"),
            ("!", "true", ""),
            ("$x.get(", "1", ")"),
            ("$x[", "1", "]"),
            ("${x|", "1", "}"),
            ("-", "1", ""),
        ] {
            let _ = render(&format!(
                "#set($y = {})$y",
                nested(open, inner, close, times)
            ));
        }
    }
    let error = refused(&nested("#if(true)", "x", "#end", 200));
    assert!(error.message.contains("nested"), "{error}");
    refused("#macro(a)#a()#end#a()");
    refused("#macro(a)#b()#end#macro(b)#a()#end#a()");
    refused("#set($s = '#evaluate($s)')#evaluate($s)");
    refused("#define($d)$d#end$d");
    let deep = format!("#set($x = {})$x", nested("[", "1", "]", 45));
    let deep = format!("#set($s = '{deep}')#evaluate($s)");
    render(&nested("#if(true)", &deep, "#end", 90)).expect("just deep enough");
    let calls = nested("#if(true)", "#m(1)", "#end", 90);
    refused(&format!(
        "#macro(m $a){}#end{calls}",
        nested("#if(true)", &calls, "#end", 5)
    ));
    let arguments = nested("$x.get(", "\"#m(1)\"", ")", 90);
    refused(&format!("#set($x = {{}})#macro(m $a){arguments}#end#m(1)"));
    refused("#set($l = [])#foreach($i in [1..100000])#set($l = [$l])#end");
}

#[test]
fn accepts_long_chains() {
    let sum = format!("#set($x = 0{})$x", " + 1".repeat(50_000));
    assert_eq!(render(&sum), Ok("50000".to_owned()));
    let either = format!("#if(false{})x#end", " || false".repeat(50_000));
    assert_eq!(render(&either), Ok(String::new()));
    let steps = format!("$!x{}", ".a".repeat(50_000));
    assert_eq!(render(&steps), Ok(String::new()));
}

#[test]
fn lists_may_contain_each_other() {
    assert_eq!(
        render("#set($l = [])$l.add($l)$l"),
        Ok("true[(this Collection)]".to_owned())
    );
    refused("#set($a = [])#set($b = [$a])#set($ok = $a.add($b))$a");
    // Each list contains the previous one, so recursion would be deep.
    let chain = "#set($root = [])#set($last = $root)\
        #foreach($i in [1..50000])#set($next = [])#set($ok = $last.add($next))#set($last = $next)#end";
    render(chain).expect("a long chain");
    refused(&format!("{chain}$root"));
}

#[test]
fn many_symbols_take_linear_time() {
    let sources = [
        "\\".repeat(300_000),
        "$".repeat(300_000),
        "#".repeat(300_000),
        "$!".repeat(100_000),
        "$\\".repeat(100_000),
        "\\#a".repeat(100_000),
        "#a(".repeat(1_000),
        "#a ".repeat(100_000),
        "{".repeat(300_000),
        "${".repeat(100_000),
        "$a[".repeat(10_000),
        "\"'".repeat(100_000),
        " \n".repeat(100_000),
        "$x ".repeat(100_000),
    ];
    for source in sources {
        let started = Instant::now();
        let _ = render(&source);
        let spent = started.elapsed();
        let start: String = source.chars().take(6).collect();
        assert!(
            spent < Duration::from_secs(60),
            "{spent:?} for {start:?}..."
        );
    }
}

#[test]
fn renderings_share_an_allowance_and_are_interrupted() {
    let template = Template::parse("#foreach($i in [1..1000])x#end").unwrap();
    let mut context = Context::new();
    context.set_allowance(Arc::new(Allowance::new(100_000, None)));
    let rendered = (0..10)
        .take_while(|_| template.render(&context).is_ok())
        .count();
    assert!((1..5).contains(&rendered), "{rendered}");
    let error = template.render(&context).unwrap_err();
    assert!(error.message.contains("together"), "{error}");

    let interrupt = Arc::new(AtomicBool::new(false));
    context.set_allowance(Arc::new(Allowance::new(
        MAX_WORK,
        Some(Arc::clone(&interrupt)),
    )));
    let long = Template::parse("#foreach($i in [1..50000])x#end").unwrap();
    assert!(long.render(&context).is_ok());
    interrupt.store(true, Ordering::Relaxed);
    let error = long.render(&context).unwrap_err();
    assert!(error.message.contains("interrupted"), "{error}");
}
