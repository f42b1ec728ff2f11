//! A line to a service, which a test can cut: what a node sees of a service that dies and comes back.

use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use secrecy::{ExposeSecret, SecretString};
use tokio::io::{self, AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Passes bytes on between its own port and a service. Ends when dropped.
pub struct Line {
    is_cut: watch::Sender<bool>,
    last_word: Arc<Mutex<Vec<u8>>>,
    accepting: JoinHandle<()>,
}

impl Line {
    /// A line to the service that a URL names, and the URL that leads through it.
    ///
    /// # Panics
    /// If the URL names no host and port.
    pub async fn to(url: &SecretString) -> (Self, SecretString) {
        let url = url.expose_secret();
        let (_, place) = url.split_once("://").expect("a URL has a scheme");
        let authority = place.split(['/', '?']).next().unwrap_or(place);
        let service = authority
            .rsplit_once('@')
            .map_or(authority, |(_, host)| host);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
        let listener = listener.expect("a port is free");
        let own = listener.local_addr().expect("it is bound");
        let through = url.replacen(service, &own.to_string(), 1);
        let (is_cut, state) = watch::channel(false);
        let last_word = Arc::default();
        let accepting = accept(listener, service.to_owned(), state, Arc::clone(&last_word));
        let line = Self {
            is_cut,
            last_word,
            accepting: tokio::spawn(accepting),
        };
        (line, through.into())
    }

    /// Ends every connection, and each new one at once.
    pub fn cut(&self) {
        self.is_cut.send_replace(true);
    }

    /// Lets everything pass again.
    pub fn mend(&self) {
        self.hush_after(b"");
        self.is_cut.send_replace(false);
    }

    /// Passes on what holds these bytes, and then nothing of what the service answers on that connection: it does what it was asked,
    /// and nobody hears of it. No bytes: everything is answered.
    pub fn hush_after(&self, bytes: &[u8]) {
        *self
            .last_word
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = bytes.to_vec();
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.cut();
        self.accepting.abort();
    }
}

async fn accept(
    listener: TcpListener,
    service: String,
    is_cut: watch::Receiver<bool>,
    last_word: Arc<Mutex<Vec<u8>>>,
) {
    while let Ok((near, _)) = listener.accept().await {
        let (service, mut is_cut) = (service.clone(), is_cut.clone());
        let last_word = Arc::clone(&last_word);
        tokio::spawn(async move {
            tokio::select! {
                biased;
                _ = is_cut.wait_for(|cut| *cut) => {}
                _ = carry(near, &service, &last_word) => {}
            }
        });
    }
}

async fn carry(mut near: TcpStream, service: &str, last_word: &Mutex<Vec<u8>>) -> io::Result<()> {
    let mut far = TcpStream::connect(service).await?;
    let (mut from_near, mut to_near) = near.split();
    let (mut from_far, mut to_far) = far.split();
    let is_hushed = AtomicBool::new(false);
    let there = async {
        let mut buffer = vec![0; 64 * 1024];
        loop {
            let bytes = read(&mut from_near, &mut buffer).await?;
            let holds =
                |word: &[u8]| !word.is_empty() && bytes.windows(word.len()).any(|b| b == word);
            if holds(&last_word.lock().unwrap_or_else(PoisonError::into_inner)) {
                is_hushed.store(true, Ordering::SeqCst);
            }
            to_far.write_all(bytes).await?;
        }
    };
    let back = async {
        let mut buffer = vec![0; 64 * 1024];
        loop {
            let bytes = read(&mut from_far, &mut buffer).await?;
            if !is_hushed.load(Ordering::SeqCst) {
                to_near.write_all(bytes).await?;
            }
        }
    };
    tokio::select! {
        ended = there => ended,
        ended = back => ended,
    }
}

async fn read<'a>(
    from: &mut (impl AsyncReadExt + Unpin),
    buffer: &'a mut [u8],
) -> io::Result<&'a [u8]> {
    let read = from.read(buffer).await?;
    let bytes = buffer.get(..read).filter(|bytes| !bytes.is_empty());
    bytes.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
}
