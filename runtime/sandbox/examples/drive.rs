use runtime_plan::{limit::LimitRequest, link::*, spec::*};
use runtime_sandbox::{frame, launcher::*};
use std::io::Read;
use std::os::fd::*;
fn main() {
    let args: Vec<String> = std::env::args().collect();
    if args.get(1).map(String::as_str) == Some("__server") {
        server(&args);
        return;
    }
    let (conn, conn2) = runtime_sys::socket::stream_pair().unwrap();
    let (life_r, life_w) = runtime_sys::pipe::pipe().unwrap();
    let (fatal_r, fatal_w) = runtime_sys::pipe::pipe().unwrap();
    std::fs::write("/tmp/drive-args", args[1..].join("\n")).unwrap();
    let proof = runtime_sys::clone::SingleThreaded::prove().unwrap();
    match runtime_sys::clone::fork(&proof).unwrap() {
        runtime_sys::clone::Cloned::Child => {
            drop((conn2, life_w, fatal_r));
            let status = run(Options {
                mode: Mode::Embedded { connection: conn, lifeline: life_r, fatal: fatal_w, directory: None },
                profiles_dir: None,
                policies_dir: None,
                server_args: vec![],
            });
            runtime_sys::process::exit_now(status)
        }
        runtime_sys::clone::Cloned::Parent { pidfd, .. } => {
            drop((conn, life_r, fatal_w));
            let mut c = std::os::unix::net::UnixStream::from(conn2);
            let mut s = String::new();
            c.read_to_string(&mut s).unwrap();
            println!("{s}");
            drop(life_w);
            let mut f = std::fs::File::from(fatal_r);
            let mut t = String::new();
            f.read_to_string(&mut t).unwrap();
            println!("fatal: {t:?}");
            println!("{:?}", runtime_sys::pidfd::reap_blocking(pidfd.as_fd()));
        }
    }
}
fn server(args: &[String]) {
    let get =
        |n: &str| args.iter().position(|a| a == n).map(|i| args[i + 1].parse::<i32>().unwrap()).unwrap();
    let adopt = |n: i32| runtime_sys::inherit::adopt_fd(n).unwrap();
    let link = adopt(get("--link-fd"));
    let mut out = std::fs::File::from(adopt(get("--connection-fd")));
    use std::io::Write;
    let mut buf = vec![0; frame::BUFFER_BYTES];
    let send = |m: &ToLauncher| frame::send(link.as_fd(), &encode(m).unwrap(), &[], false).unwrap();
    send(&ToLauncher::Hello { version: VERSION });
    let argv = std::fs::read_to_string("/tmp/drive-args")
        .unwrap()
        .split('\n')
        .map(|s| s.as_bytes().to_vec())
        .collect();
    let spec = Spec::check(UncheckedSpec {
        argv,
        env: vec![],
        workdir: None,
        profile: "default".into(),
        workspace: WorkspaceRequest::Scratch,
        stdin: false,
        limits: LimitRequest::default(),
    })
    .unwrap();
    send(&ToLauncher::Start { job: JobId::try_from("job-1".to_string()).unwrap(), spec: Box::new(spec) });
    loop {
        let f = frame::receive(link.as_fd(), &mut buf, 8, false).unwrap();
        let Some(f) = f else { break };
        match decode::<ToServer>(&f.body).unwrap() {
            ToServer::Hello(_) => {}
            ToServer::Accepted { .. } => {
                for fd in f.fds {
                    let mut s = String::new();
                    let mut o = out.try_clone().unwrap();
                    std::thread::spawn(move || {
                        std::fs::File::from(fd).read_to_string(&mut s).unwrap();
                        o.write_all(s.as_bytes()).unwrap();
                    });
                }
            }
            m @ ToServer::Finished { .. } => {
                std::thread::sleep(std::time::Duration::from_millis(50));
                writeln!(out, "{m:#?}").unwrap();
                break;
            }
            m @ ToServer::Refused { .. } => {
                writeln!(out, "{m:#?}").unwrap();
                break;
            }
            ToServer::ShutDown => break,
            m => writeln!(out, "{:?}", std::mem::discriminant(&m)).unwrap(),
        }
    }
    drop(out);
    std::thread::sleep(std::time::Duration::from_millis(500));
}
