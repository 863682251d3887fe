//! Parameters of a call.

use super::super::answer::Fault;
use serde_json::{Map, Value};

/// Parameters of a call, without the secret.
pub(super) struct Params(pub(super) std::vec::IntoIter<Value>);

impl Params {
    pub(super) fn next(&mut self) -> Option<Value> {
        self.0.next()
    }

    pub(super) fn text(&mut self) -> Result<String, Fault> {
        match self.next() {
            Some(Value::String(text)) => Ok(text),
            _ => Err(Fault::failed("The parameter at this place is a string.")),
        }
    }

    pub(super) fn integer(&mut self) -> Result<i64, Fault> {
        let value = self.next();
        value
            .as_ref()
            .and_then(Value::as_i64)
            .ok_or_else(|| Fault::failed("The parameter at this place is an integer."))
    }

    pub(super) fn strings(&mut self) -> Result<Vec<String>, Fault> {
        let wrong = || Fault::failed("The parameter at this place is an array of strings.");
        match self.next() {
            None => Ok(Vec::new()),
            Some(Value::Array(all)) => {
                all.into_iter().map(|one| one.as_str().map(str::to_owned).ok_or_else(wrong)).collect()
            }
            Some(_) => Err(wrong()),
        }
    }

    pub(super) fn options(&mut self) -> Result<Map<String, Value>, Fault> {
        match self.next() {
            None | Some(Value::Null) => Ok(Map::new()),
            Some(Value::Object(options)) => Ok(options),
            Some(_) => Err(Fault::failed("The options are an object.")),
        }
    }
}

pub(super) fn split_token(mut params: Vec<Value>) -> (Option<String>, Vec<Value>) {
    match params.first().and_then(Value::as_str) {
        Some(first) if first.starts_with("token:") => {
            let token = first.to_owned();
            params.remove(0);
            (Some(token), params)
        }
        _ => (None, params),
    }
}

pub(super) fn position(params: &mut Params) -> Result<Option<usize>, Fault> {
    match params.next() {
        None | Some(Value::Null) => Ok(None),
        Some(value) => {
            let index = value.as_u64().ok_or_else(|| Fault::failed("The position is a number from 0 on."))?;
            Ok(usize::try_from(index).ok())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_token_is_taken_from_the_parameters() {
        let (token, rest) = split_token(vec![json!("token:x"), json!("gid")]);
        assert_eq!((token.as_deref(), rest), (Some("token:x"), vec![json!("gid")]));
        let (token, rest) = split_token(vec![json!("gid")]);
        assert_eq!((token, rest.len()), (None, 1));
    }
}
