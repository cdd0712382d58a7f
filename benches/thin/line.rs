//! A thin line: a proxy that gives so many bytes a second each way, late, and now and then later, as a lost packet that is sent again is.

use std::{
    io::{Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
    time::{Duration, Instant},
};

/// Bytes a second, each way: 256 kbit/s.
pub(crate) const RATE: f64 = 32_000.0;

/// From one end to the other and back.
pub(crate) const ROUND_TRIP: Duration = Duration::from_millis(300);

/// Of a hundred packets, so many are lost.
pub(crate) const LOST: u64 = 2;

/// What fits into a packet.
const PACKET: usize = 1_460;

/// So many packets wait at either end; then the sender waits.
const QUEUE: usize = 32;

/// The line to one address.
pub(crate) struct Line {
    pub(crate) url: String,
}

/// One direction: when it is free again, and how many packets it has carried.
#[derive(Default)]
struct Way {
    free: Mutex<Option<Instant>>,
    packets: AtomicU64,
}

impl Way {
    /// When a packet that is sent now arrives. Waits while the line is busy.
    fn carry(&self, bytes: usize) -> Instant {
        let taken = Duration::from_secs_f64(bytes as f64 / RATE);
        let sent = {
            let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
            let sent = free.map_or(Instant::now(), |free| free.max(Instant::now())) + taken;
            *free = Some(sent);
            sent
        };
        thread::sleep(sent.saturating_duration_since(Instant::now()));
        // Which are lost is the same in every run: a number mixed as SplitMix64 does.
        let mut mixed = self.packets.fetch_add(1, Ordering::Relaxed).wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let again = if (mixed ^ (mixed >> 27)) % 100 < LOST { ROUND_TRIP } else { Duration::ZERO };
        sent + ROUND_TRIP / 2 + again
    }
}

impl Line {
    /// A line to `http://HOST:PORT`.
    pub(crate) fn to(url: &str) -> Line {
        let there = url.trim_start_matches("http://").trim_end_matches('/').to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (out, back) = (Arc::new(Way::default()), Arc::new(Way::default()));
        thread::spawn(move || {
            for near in listener.incoming().map_while(Result::ok) {
                let Ok(far) = TcpStream::connect(&there) else { continue };
                for (from, to, way) in [(&near, &far, &out), (&far, &near, &back)] {
                    let (Ok(from), Ok(to)) = (from.try_clone(), to.try_clone()) else { continue };
                    join(from, to, way.clone());
                }
            }
        });
        Line { url }
    }
}

/// Carries what comes from one end to the other.
fn join(mut from: TcpStream, to: TcpStream, way: Arc<Way>) {
    let (sender, receiver): (SyncSender<(Instant, Vec<u8>)>, _) = sync_channel(QUEUE);
    thread::spawn(move || deliver(to, &receiver));
    thread::spawn(move || {
        // Before the first byte, both ends have to know of each other.
        thread::sleep(ROUND_TRIP);
        let mut packet = [0; PACKET];
        while let Ok(length @ 1..) = from.read(&mut packet) {
            if sender.send((way.carry(length), packet[..length].to_vec())).is_err() {
                break;
            }
        }
    });
}

fn deliver(mut to: TcpStream, packets: &Receiver<(Instant, Vec<u8>)>) {
    for (at, packet) in packets {
        // What comes after a lost packet waits for it.
        thread::sleep(at.saturating_duration_since(Instant::now()));
        if to.write_all(&packet).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}
