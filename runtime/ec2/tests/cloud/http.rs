//! As much of HTTP/1.1 as the AWS SDK and moto speak: one request and one answer a connection.

use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Request {
    /// `POST / HTTP/1.1`.
    pub line: String,
    /// Its headers, their names in lower case.
    pub headers: Vec<(String, String)>,
    /// Its body.
    pub body: Vec<u8>,
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// The type of its body.
    pub content_type: String,
    /// Its body.
    pub body: Vec<u8>,
}

impl Request {
    /// One that is made here.
    pub fn post(headers: &[(&str, &str)], body: String) -> Self {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Self {
            line: "POST / HTTP/1.1".to_owned(),
            headers: headers.iter().map(owned).collect(),
            body: body.into_bytes(),
        }
    }

    /// Reads one; `None` where the client has gone.
    pub async fn read(stream: &mut TcpStream) -> io::Result<Option<Self>> {
        let mut reader = BufReader::new(stream);
        let Some((line, headers)) = head(&mut reader).await? else {
            return Ok(None);
        };
        let mut request = Self {
            line,
            headers,
            body: Vec::new(),
        };
        let length = request.header("content-length").unwrap_or("0").parse();
        request.body = vec![0; length.map_err(io::Error::other)?];
        reader.read_exact(&mut request.body).await?;
        Ok(Some(request))
    }

    /// A header.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        headers.find_map(|(header, value)| (header == name).then_some(value.as_str()))
    }

    /// Has a server answer it.
    pub async fn send(&self, to: SocketAddr) -> io::Result<Answer> {
        let mut stream = TcpStream::connect(to).await?;
        stream.set_nodelay(true)?;
        let mut head = format!("{}\r\n", self.line);
        for (name, value) in &self.headers {
            if !["connection", "content-length", "accept-encoding"].contains(&name.as_str()) {
                head += &format!("{name}: {value}\r\n");
            }
        }
        head += &format!(
            "connection: close\r\ncontent-length: {}\r\n\r\n",
            self.body.len()
        );
        stream
            .write_all(&[head.as_bytes(), &self.body].concat())
            .await?;
        Answer::read(stream).await
    }
}

impl Answer {
    /// One of XML.
    pub fn xml(status: u16, body: String) -> Self {
        Self {
            status,
            content_type: "text/xml".to_owned(),
            body: body.into_bytes(),
        }
    }

    /// One of JSON, as services have it that speak no XML.
    pub fn json(status: u16, body: String) -> Self {
        Self {
            status,
            content_type: "application/x-amz-json-1.1".to_owned(),
            body: body.into_bytes(),
        }
    }

    /// Whether the call went well.
    pub fn is_ok(&self) -> bool {
        self.status == 200
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    async fn read(stream: TcpStream) -> io::Result<Self> {
        let mut reader = BufReader::new(stream);
        let (line, headers) = head(&mut reader)
            .await?
            .ok_or(io::ErrorKind::UnexpectedEof)?;
        let status = line.split(' ').nth(1).unwrap_or_default();
        let content_type = headers.iter().find(|(name, _)| name == "content-type");
        let mut answer = Self {
            status: status.parse().map_err(io::Error::other)?,
            content_type: content_type
                .map(|(_, value)| value.clone())
                .unwrap_or_default(),
            body: Vec::new(),
        };
        reader.read_to_end(&mut answer.body).await?;
        Ok(answer)
    }

    /// Writes it, and ends the connection: on one that stays open the client would take a call that is dropped for one
    /// that was never sent.
    pub async fn write(&self, stream: &mut TcpStream) -> io::Result<()> {
        let head = format!(
            "HTTP/1.1 {} -\r\ncontent-type: {}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
            self.status,
            self.content_type,
            self.body.len(),
        );
        stream
            .write_all(&[head.as_bytes(), &self.body].concat())
            .await?;
        stream.shutdown().await
    }
}

type Head = (String, Vec<(String, String)>);

/// The first line and the headers.
async fn head(reader: &mut (impl AsyncBufReadExt + Unpin)) -> io::Result<Option<Head>> {
    let mut first = String::new();
    if reader.read_line(&mut first).await? == 0 {
        return Ok(None);
    }
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).await?;
        let Some((name, value)) = line.trim_end().split_once(':') else {
            return Ok(Some((first.trim_end().to_owned(), headers)));
        };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
}
