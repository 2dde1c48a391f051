//! The contract of each behaviour, through a plain HTTP client.

mod contract;
mod faulty;
mod history;
mod shops;
mod watches;
mod writes;

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use super::{Simulator, SimulatorOptions};

const PATIENCE: Duration = Duration::from_secs(20);

async fn started() -> Simulator {
    Simulator::start(SimulatorOptions::default()).await.unwrap()
}

/// An answer whose body is still to be read.
struct Reply {
    code: StatusCode,
    headers: HeaderMap,
    body: Incoming,
    buffer: Vec<u8>,
    connection: JoinHandle<()>,
}

impl Drop for Reply {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

async fn ask(simulator: &Simulator, path: &str, headers: &[(&str, &str)]) -> Result<Reply, String> {
    let asking = async {
        let stream = TcpStream::connect(simulator.address)
            .await
            .map_err(|e| e.to_string())?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|e| e.to_string())?;
        let connection = tokio::spawn(async move {
            let _ = connection.await;
        });
        let mut request = Request::get(path).header("host", "simulator");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Empty::<Bytes>::new()).unwrap();
        let response = sender
            .send_request(request)
            .await
            .map_err(|e| e.to_string())?;
        let (parts, body) = response.into_parts();
        Ok(Reply {
            code: parts.status,
            headers: parts.headers,
            body,
            buffer: Vec::new(),
            connection,
        })
    };
    tokio::time::timeout(PATIENCE, asking)
        .await
        .expect("the simulator answers in time")
}

impl Reply {
    async fn frame(&mut self) -> Option<Result<Bytes, hyper::Error>> {
        tokio::time::timeout(PATIENCE, self.body.frame())
            .await
            .expect("the simulator goes on in time")
            .map(|frame| frame.map(|frame| frame.into_data().unwrap_or_default()))
    }

    /// The whole body; an error where the connection broke.
    async fn bytes(mut self) -> Result<Vec<u8>, Vec<u8>> {
        while let Some(frame) = self.frame().await {
            match frame {
                Ok(data) => self.buffer.extend_from_slice(&data),
                Err(_) => return Err(std::mem::take(&mut self.buffer)),
            }
        }
        Ok(std::mem::take(&mut self.buffer))
    }

    async fn json(self) -> Value {
        serde_json::from_slice(&self.bytes().await.expect("a whole body")).expect("JSON")
    }

    /// The next event of a watch; `None` at its clean end, an error where it broke (with what came
    /// after the last line).
    async fn event(&mut self) -> Option<Result<Value, Vec<u8>>> {
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                return Some(Ok(serde_json::from_slice(&line).expect("a line is JSON")));
            }
            match self.frame().await {
                Some(Ok(data)) => self.buffer.extend_from_slice(&data),
                Some(Err(_)) => return Some(Err(std::mem::take(&mut self.buffer))),
                None => return None,
            }
        }
    }

    /// Type, name and resourceVersion of the next event.
    async fn brief(&mut self) -> (String, String, String) {
        let event = self.event().await.expect("an event").expect("a whole line");
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let metadata = &event["object"]["metadata"];
        (
            text(&event["type"]),
            text(&metadata["name"]),
            text(&metadata["resourceVersion"]),
        )
    }
}

async fn get(simulator: &Simulator, path: &str) -> Reply {
    ask(simulator, path, &[]).await.expect("an answer")
}

async fn get_json(simulator: &Simulator, path: &str) -> Value {
    get(simulator, path).await.json().await
}

fn config_map(name: &str, value: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"namespace": "default", "name": name}, "data": {"key": value},
    })
}

fn names(list: &Value) -> Vec<&str> {
    let items = list["items"].as_array().expect("a list has items");
    items
        .iter()
        .map(|item| item["metadata"]["name"].as_str().unwrap())
        .collect()
}

/// Waits until so many watches of `resource` are open.
async fn until_watches(simulator: &Simulator, resource: &str, count: usize) {
    let polling = async {
        while simulator.open_watches(Some(resource)) != count {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, polling)
        .await
        .expect("the watches in time");
}

fn widgets(versions: &[&str]) -> Value {
    let versions: Vec<Value> = versions
        .iter()
        .enumerate()
        .map(|(at, version)| {
            json!({
                "name": version, "served": true, "storage": at == 0, "subresources": {"status": {}},
            })
        })
        .collect();
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "widgets.test.example.com"},
        "spec": {
            "group": "test.example.com", "scope": "Namespaced", "versions": versions,
            "names": {"kind": "Widget", "plural": "widgets", "singular": "widget", "shortNames": ["wg"]},
        },
    })
}

fn widget(name: &str) -> Value {
    json!({
        "apiVersion": "test.example.com/v1", "kind": "Widget",
        "metadata": {"namespace": "default", "name": name}, "spec": {"size": 3},
    })
}
