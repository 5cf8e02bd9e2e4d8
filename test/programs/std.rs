// Threads, channels, scoped threads, panics that are caught, files and sockets of
// Rust's standard library.
use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{mpsc, Arc, Barrier, Condvar, Mutex, RwLock};
use std::time::{Duration, Instant};
use std::{fs, panic, thread};

fn threads() {
    let (tx, rx) = mpsc::sync_channel(4);
    let sums: Vec<_> = (0..16u64)
        .map(|id| {
            let tx = tx.clone();
            thread::spawn(move || (0..500).for_each(|i| tx.send(id * 1000 + i).unwrap()))
        })
        .collect();
    drop(tx);
    assert_eq!(rx.iter().sum::<u64>(), (0..16u64).map(|id| id * 1000 * 500 + 499 * 250).sum());
    sums.into_iter().for_each(|t| t.join().unwrap());

    let counter = AtomicU64::new(0);
    let map = RwLock::new(HashMap::new());
    thread::scope(|s| {
        for id in 0..8 {
            let (counter, map) = (&counter, &map);
            s.spawn(move || {
                for i in 0..200 {
                    counter.fetch_add(1, Ordering::Relaxed);
                    map.write().unwrap().insert((id, i), i);
                }
            });
        }
    });
    assert_eq!((counter.load(Ordering::Relaxed), map.read().unwrap().len()), (1600, 1600));

    let barrier = Arc::new(Barrier::new(8));
    let leaders: usize = (0..8)
        .map(|_| {
            let b = barrier.clone();
            thread::Builder::new().stack_size(256 << 10).spawn(move || b.wait().is_leader() as usize).unwrap()
        })
        .collect::<Vec<_>>()
        .into_iter()
        .map(|t| t.join().unwrap())
        .sum();
    assert_eq!(leaders, 1);

    let (lock, more) = (Mutex::new(false), Condvar::new());
    let start = Instant::now();
    let (_guard, wait) = more.wait_timeout(lock.lock().unwrap(), Duration::from_millis(30)).unwrap();
    assert!(wait.timed_out() && start.elapsed() >= Duration::from_millis(30));
}

fn panics() {
    let quiet = panic::take_hook();
    panic::set_hook(Box::new(|_| {}));
    let caught = thread::spawn(|| {
        let v: Vec<u8> = Vec::new();
        v[std::hint::black_box(3)]
    })
    .join();
    assert!(caught.is_err());
    assert!(panic::catch_unwind(|| panic!("on purpose")).is_err());
    panic::set_hook(quiet);
}

fn files() -> std::io::Result<()> {
    let dir = std::env::temp_dir().join("rust");
    fs::create_dir_all(dir.join("deep/er"))?;
    let name = dir.join("deep/er/text");
    let mut f = fs::OpenOptions::new().create(true).read(true).write(true).open(&name)?;
    writeln!(f, "one\ntwo")?;
    f.seek(SeekFrom::Start(4))?;
    let mut rest = String::new();
    f.read_to_string(&mut rest)?;
    assert_eq!(rest, "two\n");
    f.set_len(3)?;
    assert_eq!(fs::copy(&name, dir.join("copy"))?, 3);
    fs::rename(dir.join("copy"), dir.join("moved"))?;
    std::os::unix::fs::symlink("moved", dir.join("link"))?;
    assert_eq!(fs::read_to_string(dir.join("link"))?, "one");
    let mut names: Vec<_> = fs::read_dir(&dir)?.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    assert_eq!(names, ["deep", "link", "moved"]);
    assert_eq!(fs::metadata("/nowhere").unwrap_err().kind(), std::io::ErrorKind::NotFound);
    fs::remove_dir_all(&dir)
}

fn sockets() -> std::io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let to = listener.local_addr()?;
    let server = thread::spawn(move || {
        for _ in 0..20 {
            let (mut c, _) = listener.accept().unwrap();
            thread::spawn(move || {
                let mut line = String::new();
                BufReader::new(c.try_clone().unwrap()).read_line(&mut line).unwrap();
                c.write_all(line.to_uppercase().as_bytes()).unwrap();
            });
        }
    });
    let clients: Vec<_> = (0..20)
        .map(|i| {
            thread::spawn(move || {
                let mut c = TcpStream::connect(to).unwrap();
                writeln!(c, "hello {i}").unwrap();
                let mut answer = String::new();
                c.read_to_string(&mut answer).unwrap();
                assert_eq!(answer, format!("HELLO {i}\n"));
            })
        })
        .collect();
    clients.into_iter().for_each(|c| c.join().unwrap());
    server.join().unwrap();
    let (a, b) = (UdpSocket::bind("127.0.0.1:0")?, UdpSocket::bind("127.0.0.1:0")?);
    a.send_to(b"datagram", b.local_addr()?)?;
    let mut buf = [0; 64];
    assert_eq!(b.recv_from(&mut buf)?, (8, a.local_addr()?));
    b.set_read_timeout(Some(Duration::from_millis(20)))?;
    assert!(b.recv(&mut buf).is_err());
    Ok(())
}

fn main() {
    threads();
    panics();
    files().unwrap();
    sockets().unwrap();
    println!("ok with {} CPUs", thread::available_parallelism().unwrap());
}
