//! Regression tests for bugs found by fuzzing and review. Those about time and memory are in
//! `prices.rs`.

use std::thread;

use promoflow_velocity::{
    Context, Error, Escape, Limits, MAX_SOURCE_TOKENS, RenderOptions, Template,
};

fn context() -> Context {
    Context::new()
        .with("i", "<i>")
        .with("v", "<b>&\"'</b>")
        .with("long", "x".repeat(100_000))
        .with_tools()
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
    template.render_with(&context(), &options).expect(source)
}

#[test]
fn integer_division_accepts_a_negative_divisor() {
    assert_eq!(
        render("$math.idiv(7, -2) $math.idiv(-7, 2) [$!math.idiv(7, 0)] [$!math.idiv(7, 0.5)]"),
        Ok("-3 -3 [] []".to_owned())
    );
}

/// Each loop was nested in the previous one, and freeing the last one freed them all recursively.
#[test]
fn frees_a_chain_of_loops() {
    let source = "#foreach($i in [1..50000])#set($foreach = $keep)\
        #foreach($j in [1])#set($keep = $foreach)#end#end$keep.parent.index";
    on_a_small_stack(move || assert_eq!(render(source), Ok("0".to_owned())));
}

#[test]
fn errors_quote_only_the_start_of_a_text() {
    let name = "a".repeat(100_000);
    for source in [
        "$long.matches(\"($long\")".to_owned(),
        "$math.pi.parseDouble($long)".to_owned(),
        "$long.substring($long)".to_owned(),
        "$v.format($v.format('%%%s', $long))".to_owned(),
        "$v.format('%d', $long)".to_owned(),
        "$v.replaceAll('b', \"\\${$long}\")".to_owned(),
        format!("#@{name}()"),
        format!("#{name}(1"),
        format!("#macro({name})#{name}()#end#{name}()"),
        format!("#macro(m $a)#end#m({name})"),
        format!("#set($x = {name})"),
    ] {
        let start: String = source.chars().take(30).collect();
        let error = render(&source).expect_err(&start);
        assert!(
            error.message.len() < 300,
            "{start}: {} bytes",
            error.message.len()
        );
    }
}

/// A line break written as an escape does not start a line of the template.
#[test]
fn error_positions_are_inside_the_template() {
    for source in [
        "#set($x = \"\\u000a  $v.get(1\")",
        "#set($x = \"\\u000a$v.substring(99)\")",
        "#set($x = \"\\u000a\\u0022 $v.get(\\u0022\\u000a$v.get(1\\u0022)\")",
    ] {
        let error = render(source).expect_err(source);
        assert_eq!(error.line, 1, "{error} in {source}");
        let columns = u32::try_from(source.chars().count()).expect("a short source");
        assert!(error.column <= columns + 1, "{error} in {source}");
    }
}

/// The output of an evaluated value is escaped, wherever it was assigned.
#[test]
fn escapes_the_output_of_evaluated_values() {
    let escaped = "&lt;b&gt;&amp;&quot;&#39;&lt;/b&gt;";
    let of_value = |text: &str, then: &str| {
        format!(
            "#macro(n)#set($k = $bodyContent)$k#end#set($t = '{text}')#evaluate($t.replace('V', $v)){then}"
        )
    };
    for source in [
        "#evaluate($v)".to_owned(),
        "#evaluate(\"$v\")".to_owned(),
        of_value("V", ""),
        of_value("#define($d)V#end", "$d"),
        of_value("#macro(m)V#end", "#m()"),
        of_value("#macro(m)#define($d)V#end#end", "#m()$d"),
        of_value("#@n()V#end", ""),
    ] {
        assert_eq!(html(&source), escaped, "{source}");
    }
    let within = [
        ("V", ""),
        ("#define($d)V#end", "$d"),
        ("#macro(m)V#end", "#m()"),
    ];
    for (text, then) in within {
        let source = of_value(&format!("#evaluate(''{text}'')"), then).replace("$v", "$i");
        assert_eq!(html(&source), "&lt;i&gt;", "{source}");
    }
    assert_eq!(html("#evaluate('<i>$v</i>')"), format!("<i>{escaped}</i>"));
    assert_eq!(html("#evaluate(\"<i>$!none\")#stop"), "&lt;i&gt;");
    assert_eq!(html("#evaluate('#macro(m)<i>#end')#m()"), "<i>");
    assert_eq!(
        render("#evaluate(\"<i>$v</i>\")").as_deref(),
        Ok("<i><b>&\"'</b></i>")
    );
}

#[test]
fn script_escaping_cannot_close_an_attribute() {
    assert_eq!(
        html("$esc.javascript($v)"),
        "\\u003Cb\\u003E\\u0026\\u0022\\u0027\\u003C\\/b\\u003E"
    );
}

#[test]
fn limits_the_number_of_tokens() {
    let most = MAX_SOURCE_TOKENS as usize;
    assert!(Template::parse(&"$a".repeat(most - 10)).is_ok());
    let Err(error) = Template::parse(&"$a".repeat(most + 1)) else {
        panic!("{most} and one");
    };
    assert_eq!(error.column as usize, 2 * most + 1, "{error}");
    let inside = format!("#set($x = \"{}\")", "$a".repeat(most));
    assert!(Template::parse(&inside).is_err());
}

/// Runs on the default stack of a Rust thread, or a quarter of it with optimisation.
fn on_a_small_stack(work: impl FnOnce() + Send + 'static) {
    let stack = if cfg!(debug_assertions) {
        2 << 20
    } else {
        512 << 10
    };
    let thread = thread::Builder::new().stack_size(stack).spawn(work);
    let ended = thread.expect("a thread starts").join();
    assert!(ended.is_ok(), "a template panicked");
}

#[test]
fn the_deepest_nesting_fits_a_small_stack() {
    let nested = |open: &str, inner: &str, close: &str, times: usize| {
        format!("{}{inner}{}", open.repeat(times), close.repeat(times))
    };
    let mut sources = Vec::new();
    for (open, inner, close) in [
        ("#if(true)", "x", "#end"),
        ("#foreach($i in [1])", "x", "#end"),
        ("#define($d)", "x", "#end$d"),
        ("#@m()", "x", "#end"),
        ("#set($x = [", "1", "])"),
    ] {
        sources.push(nested(open, inner, close, 98));
        sources.push(nested(open, inner, close, 1_000));
    }
    for (open, inner, close) in [
        ("(", "1", ")"),
        ("!(1 + 1 * ", "1", " || 1 == 1)"),
        ("[", "1", "]"),
        ("{'a':", "1", "}"),
        ("!", "true", ""),
        ("$v.get(", "1", ")"),
        ("$v[", "1", "]"),
        ("${x|", "1", "}"),
        ("\"$v.get(", "1", ")\""),
    ] {
        for times in [40, 96, 1_000] {
            sources.push(format!(
                "#set($y = {})$y",
                nested(open, inner, close, times)
            ));
        }
    }
    sources.push("#macro(a $x)#if(1)#a(\"$x\")#end#end#a(1)".to_owned());
    sources.push("#set($s = '#evaluate($s)')#evaluate($s)".to_owned());
    sources.push("#define($d)$d#end$d".to_owned());
    let deep = format!("#set($x = {})$x", nested("[", "1", "]", 45));
    let deep = format!("#set($s = '{deep}')#evaluate($s)");
    sources.push(nested("#if(true)", &deep, "#end", 90));
    on_a_small_stack(move || {
        for source in sources {
            let _ = render(&source);
        }
    });
}

#[test]
fn zero_limits_reject_templates() {
    let options = RenderOptions {
        limits: Limits {
            loop_iterations: 0,
            output_bytes: 0,
            depth: 0,
            work: 0,
        },
        ..RenderOptions::default()
    };
    let template = Template::parse("a").expect("a template");
    assert!(template.render_with(&context(), &options).is_err());
}
