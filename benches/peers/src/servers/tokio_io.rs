//! What the two servers on tokio have in common: their sockets are streams of messages and sinks
//! for them.

use std::sync::Mutex;

use futures_util::{FutureExt, Sink, SinkExt, Stream, StreamExt};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

/// Who listens to what is broadcast.
pub(super) type All<M> = Mutex<Vec<(u64, UnboundedSender<M>)>>;

/// Echoes what `data` says is a message; the answers leave when nothing more is there to read.
pub(super) async fn echo<S, M, E>(mut socket: S, data: fn(&M) -> bool)
where
    S: Stream<Item = Result<M, E>> + Sink<M> + Unpin,
{
    while let Some(Ok(message)) = socket.next().await {
        let mut next = Some(message);
        while let Some(message) = next.take() {
            if data(&message) && socket.feed(message).await.is_err() {
                return;
            }
            match socket.next().now_or_never() {
                Some(Some(Ok(message))) => next = Some(message),
                Some(_) => return,
                None => {}
            }
        }
        if socket.flush().await.is_err() {
            return;
        }
    }
}

/// Gives what `data` says is a message to all, by a queue for each: whoever is slow keeps nobody
/// waiting.
pub(super) async fn broadcast<S, M, E>(socket: S, all: &'static All<M>, data: fn(&M) -> bool)
where
    S: Stream<Item = Result<M, E>> + Sink<M> + Send + 'static,
    M: Clone + Send + 'static,
    E: Send,
{
    let (mut sink, mut stream) = socket.split();
    let (sender, mut receiver) = unbounded_channel::<M>();
    let id = {
        let mut all = all.lock().unwrap();
        let id = all.last().map_or(0, |(last, _)| last + 1);
        all.push((id, sender));
        id
    };
    tokio::spawn(async move {
        while let Some(message) = receiver.recv().await {
            if sink.feed(message).await.is_err() {
                return;
            }
            while let Ok(message) = receiver.try_recv() {
                if sink.feed(message).await.is_err() {
                    return;
                }
            }
            if sink.flush().await.is_err() {
                return;
            }
        }
    });
    while let Some(Ok(message)) = stream.next().await {
        if data(&message) {
            for (_, sender) in all.lock().unwrap().iter() {
                let _ = sender.send(message.clone());
            }
        }
    }
    all.lock().unwrap().retain(|(other, _)| *other != id);
}

/// A runtime of one thread.
pub(super) fn block_on(future: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build();
    runtime.expect("a runtime can be had").block_on(future);
}
