//! Envelopes of JSON-RPC 2.0: requests, batches, results and faults.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

/// Most calls in one batch.
const MOST_CALLS: usize = 20_000;

/// A call that cannot be answered with a result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) code: i64,
    pub(super) message: String,
}

impl Fault {
    /// A failure of the method itself; aria2 has code 1 for all of them.
    pub(super) fn failed(message: impl Into<String>) -> Self {
        Self { code: 1, message: message.into() }
    }

    fn invalid(message: &str) -> Self {
        Self { code: -32600, message: message.to_owned() }
    }

    pub(super) fn unknown_method(method: &str) -> Self {
        // aria2 has code 1 here as well.
        Self::failed(format!("No such method: {method}"))
    }

    pub(super) fn object(&self) -> Value {
        json!({ "code": self.code, "message": self.message })
    }

    /// Status of an HTTP response that carries it alone.
    pub(super) fn http_status(&self) -> u16 {
        match self.code {
            1 | -32600 => 400,
            _ => 500,
        }
    }
}

/// One call.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Call {
    pub(super) id: Value,
    pub(super) method: String,
    pub(super) params: Vec<Value>,
}

/// A call, or why it is none, with the identifier of the request.
pub(super) type Parsed = Result<Call, (Value, Fault)>;

/// Content of a request.
#[derive(Debug, PartialEq)]
pub(super) enum Incoming {
    One(Parsed),
    Batch(Vec<Parsed>),
}

/// Parses the body of a request.
///
/// # Errors
/// A fault for what is no JSON, or too many calls.
pub(super) fn parse(body: &[u8]) -> Result<Incoming, Fault> {
    let value: Value = serde_json::from_slice(body)
        .map_err(|_| Fault { code: -32700, message: "Parse error.".to_owned() })?;
    match value {
        Value::Array(calls) if calls.is_empty() => Err(Fault::invalid("Invalid Request: an empty batch.")),
        Value::Array(calls) if calls.len() > MOST_CALLS => {
            Err(Fault::invalid(&format!("Invalid Request: more than {MOST_CALLS} calls.")))
        }
        Value::Array(calls) => Ok(Incoming::Batch(calls.into_iter().map(call).collect())),
        one => Ok(Incoming::One(call(one))),
    }
}

fn call(value: Value) -> Parsed {
    let Value::Object(mut object) = value else {
        return Err((Value::Null, Fault::invalid("Invalid Request.")));
    };
    let id = object.remove("id").unwrap_or(Value::Null);
    let Some(Value::String(method)) = object.remove("method") else {
        return Err((id, Fault::invalid("Invalid Request: no method.")));
    };
    match object.remove("params") {
        None => Ok(Call { id, method, params: Vec::new() }),
        Some(Value::Array(params)) => Ok(Call { id, method, params }),
        Some(_) => {
            Err((id, Fault { code: -32602, message: "Invalid params: an array is wanted.".to_owned() }))
        }
    }
}

/// Parses the query of a GET: `method`, `id` and `params` in base64, or only `params` with a batch.
///
/// # Errors
/// A fault for a query that makes no call, or asks for JSONP.
pub(super) fn parse_query(query: &str) -> Result<Incoming, Fault> {
    let field = |name: &str| {
        let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        let (_, value) = pairs.find(|(key, _)| *key == name)?;
        Some(percent_decode_str(value).decode_utf8_lossy().into_owned())
    };
    if field("jsoncallback").is_some() {
        return Err(Fault::invalid("Invalid Request: JSONP is not supported."));
    }
    let params = field("params").map(|text| STANDARD.decode(text.trim()));
    let params = params.transpose().map_err(|_| Fault::invalid("Invalid Request: params is no base64."))?;
    let Some(method) = field("method") else {
        return parse(&params.unwrap_or_default());
    };
    let params = match params {
        None => Vec::new(),
        Some(bytes) => match serde_json::from_slice(&bytes) {
            Ok(Value::Array(params)) => params,
            _ => return Err(Fault::invalid("Invalid Request: params is no array.")),
        },
    };
    let id = field("id").map_or(Value::Null, Value::String);
    Ok(Incoming::One(Ok(Call { id, method, params })))
}

/// Response to one call.
pub(super) fn response(id: &Value, outcome: Result<Value, Fault>) -> Value {
    match outcome {
        Ok(result) => json!({ "id": id, "jsonrpc": "2.0", "result": result }),
        Err(fault) => json!({ "id": id, "jsonrpc": "2.0", "error": fault.object() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_a_call_a_batch_or_a_fault() {
        let call = |id, method: &str, params| Ok(Call { id, method: method.to_owned(), params });
        assert_eq!(
            parse(br#"{"jsonrpc":"2.0","id":"q","method":"m","params":["a"]}"#),
            Ok(Incoming::One(call(json!("q"), "m", vec![json!("a")])))
        );
        assert_eq!(
            parse(br#"[{"id":1,"method":"m"}, 5]"#),
            Ok(Incoming::Batch(vec![
                call(json!(1), "m", vec![]),
                Err((Value::Null, Fault::invalid("Invalid Request."))),
            ]))
        );
        for (body, code) in [(&b"{"[..], -32700), (b"[]", -32600)] {
            assert_eq!(parse(body).unwrap_err().code, code);
        }
        let Ok(Incoming::One(Err((id, fault)))) = parse(br#"{"id":2,"method":"m","params":{}}"#) else {
            panic!("it was taken")
        };
        assert_eq!((id, fault.code), (json!(2), -32602));
        let many = format!("[{}]", vec!["1"; MOST_CALLS + 1].join(","));
        assert_eq!(parse(many.as_bytes()).unwrap_err().code, -32600);
    }

    #[test]
    fn a_get_carries_its_parameters_in_base64_and_no_callback() {
        let params = STANDARD.encode(r#"["a"]"#).replace('=', "%3D");
        let query = format!("method=aria2.x&id=foo&params={params}");
        let expected = Call { id: json!("foo"), method: "aria2.x".to_owned(), params: vec![json!("a")] };
        assert_eq!(parse_query(&query), Ok(Incoming::One(Ok(expected))));
        let batch = STANDARD.encode(r#"[{"id":1,"method":"m"}]"#);
        assert!(matches!(parse_query(&format!("params={batch}")), Ok(Incoming::Batch(_))));
        for query in ["method=m&jsoncallback=f", "method=m&params=%%%", "", "method=m&params=e30="] {
            assert!(parse_query(query).is_err(), "{query}");
        }
    }
}
