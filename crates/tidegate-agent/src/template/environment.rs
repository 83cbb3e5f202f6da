//! The closed environment in which templates run: strict, bounded, without files.

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{Environment, Error, ErrorKind, Output, State, UndefinedBehavior, Value};
use serde::Serialize;
use thiserror::Error as ThisError;

use super::Vetted;
use super::view::list::Text;

/// Steps that any template may take, and steps for each backend; a real template takes about 30 for one.
const FUEL: u64 = 1_000_000;
const FUEL_PER_BACKEND: u64 = 1_000;

/// A template that cannot be used.
#[derive(Debug, ThisError)]
pub enum TemplateError {
    /// It does not parse.
    #[error("template {name} does not parse: {detail}")]
    Parse {
        /// Of the template.
        name: String,
        /// With line.
        detail: String,
    },
    /// It asked for something that is not there or not allowed, or took too long.
    #[error("template {name} does not render: {detail}")]
    Render {
        /// Of the template.
        name: String,
        /// With line.
        detail: String,
    },
}

/// A parsed template and the partials that it may include.
pub struct Template {
    environment: Environment<'static>,
    main: String,
}

impl Template {
    /// Parses `main` (its name and its source); `partials` are all that it can include.
    pub fn parse(partials: &[(&'static str, &'static str)], main: (&str, &str)) -> Result<Self, TemplateError> {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_formatter(write_vetted);
        let (name, source) = main;
        let failed = |error: &Error| TemplateError::Parse { name: name.to_owned(), detail: describe(error) };
        // Tags stand on lines of their own without leaving blank ones.
        let mut syntax = SyntaxConfig::builder();
        syntax.trim_blocks(true).lstrip_blocks(true).keep_trailing_newline(true);
        environment.set_syntax(syntax.build().map_err(|e| failed(&e))?);
        for (name, source) in partials {
            environment.add_template(name, source).map_err(|e| failed(&e))?;
        }
        environment.add_template_owned(name.to_owned(), source.to_owned()).map_err(|e| failed(&e))?;
        Ok(Self { environment, main: name.to_owned() })
    }

    /// A context as templates see it: taken apart once, however often something is rendered with it.
    pub fn context(context: &impl Serialize) -> Value {
        Value::from(Serde(context))
    }

    /// Renders the template; `backends` bounds how long it may take.
    pub fn render(&self, context: &Value, backends: usize) -> Result<String, TemplateError> {
        self.render_named(&self.main, context, backends)
    }

    /// Renders one of its partials.
    pub fn render_named(&self, name: &str, context: &Value, backends: usize) -> Result<String, TemplateError> {
        let mut environment = self.environment.clone();
        let per_backend = FUEL_PER_BACKEND.saturating_mul(u64::try_from(backends).unwrap_or(u64::MAX));
        environment.set_fuel(Some(FUEL.saturating_add(per_backend)));
        let rendered = environment.get_template(name).and_then(|t| t.render(context.clone()));
        rendered.map_err(|e| TemplateError::Render { name: name.to_owned(), detail: describe(&e) })
    }
}

/// Writes values that were vetted, and whole numbers; everything else is an error at its place.
fn write_vetted(out: &mut Output, _: &mut State, value: &Value) -> Result<(), Error> {
    if let Some(vetted) = value.downcast_object_ref::<Vetted>() {
        return Ok(out.write_str(vetted.as_str())?);
    }
    if let Some(lines) = value.downcast_object_ref::<Text>() {
        return Ok(out.write_str(lines.as_str())?);
    }
    if value.is_integer() {
        return Ok(out.write_str(&value.to_string())?);
    }
    let detail = format!(
        "a value of type {} may not be written; only addresses, ports, names, hashes, durations and whole numbers \
         as Tidegate gave them may (no text, no result of a filter)",
        value.kind()
    );
    Err(Error::new(ErrorKind::InvalidOperation, detail))
}

/// minijinja's message with its place, and every cause behind it.
fn describe(error: &Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use tidegate_core::hash::ContentHash;

    use super::*;

    #[derive(Serialize)]
    struct Context {
        hash: Vetted,
        number: u16,
        text: &'static str,
        yes: bool,
        list: Vec<u8>,
    }

    fn render(source: &str) -> Result<String, TemplateError> {
        let context =
            Context { hash: ContentHash::of_bytes(b"").into(), number: 443, text: "a; b", yes: true, list: vec![1, 2] };
        let partials = [("known.conf", "k {{ number }};")];
        Template::parse(&partials, ("main.conf", source))?.render(&Template::context(&context), 1)
    }

    #[test]
    fn vetted_values_and_whole_numbers_are_written() {
        assert_eq!(render("a {{ number }} {{ list[1] }};").unwrap(), "a 443 2;");
        assert_eq!(render("{{ hash }}").unwrap(), ContentHash::of_bytes(b"").to_string());
        assert_eq!(render("{% if yes %}y{% endif %}{% include 'known.conf' %}").unwrap(), "yk 443;");
    }

    #[test]
    fn anything_else_is_an_error_that_names_its_place() {
        let refused = [
            "{{ text }}",
            "# {{ text }}",
            "{{ 'literal' }}",
            "{{ hash|upper }}",
            "{{ hash ~ ';' }}",
            "{{ yes }}",
            "{{ list }}",
            "{{ none }}",
            "{{ 1.5 }}",
            "{{ hash|string }}",
            "{{ 'x'|safe }}",
            "{{ text|safe }}",
            "{% set x %}a;b{% endset %}{{ x }}",
            "{{ list|join(';') }}",
            "{{ missing }}",
            "{{ missing.deep }}",
        ];
        for source in refused {
            let error = render(&format!("\n\n{source}")).expect_err(source).to_string();
            assert!(error.contains("main.conf:3"), "{source}: {error}");
        }
    }

    #[test]
    fn only_known_partials_exist_and_no_file_is_read() {
        for source in ["{% include '/etc/passwd' %}", "{% include 'other' %}", "{% import '/etc/passwd' as x %}"] {
            let error = render(source).expect_err(source).to_string();
            assert!(error.contains("main.conf:1") && !error.contains("root:"), "{error}");
        }
    }

    #[test]
    fn a_template_that_never_ends_is_stopped() {
        let forever = "{% for a in range(10000) %}{% for b in range(10000) %}{{ b }}{% endfor %}{% endfor %}";
        let error = render(forever).unwrap_err().to_string();
        assert!(error.contains("fuel"), "{error}");
    }

    #[test]
    fn a_syntax_error_names_its_line() {
        let error = render("\n{% if %}").err().unwrap().to_string();
        assert!(error.contains("does not parse") && error.contains("main.conf:2"), "{error}");
    }
}
