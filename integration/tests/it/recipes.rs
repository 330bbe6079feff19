//! docs/recipes.md does what it says: each of its commands is run as it is printed, through the nginx that is printed there,
//! and says what is printed below it, whatever the figures.

use std::{fs, path::Path};

use integration::{
    cases::Cases,
    process::{Finished, Process},
    tools::require,
};
use rustix::process::Signal;

use crate::readme::{LONGEST, Sandbox, top};

tests!();

/// What a recipe says beyond the lines that are printed.
type Check = fn(&Finished);

/// By a part of the heading, with the exit codes that its commands may end with, and a further check.
const RECIPES: [(&str, &[i32], Check); 7] = [
    ("retry a POST", &[0], |finished| {
        let (posts, gets) = finished.stdout.split_once("GET http://").expect("two reports");
        assert!(!posts.contains("repeated") && gets.contains("repeated"), "{finished}");
    }),
    ("reload", &[0, 99], |finished| {
        let is_lossless = finished.stdout.contains("each of ") && !finished.stdout.contains(" happened to ");
        assert_eq!(finished.code == Some(0), is_lossless, "{finished}");
    }),
    ("buffer uploads", &[0], |finished| {
        assert!(!finished.stdout.contains("streamed-upload length HTTP/1.1    kept"), "{finished}");
    }),
    ("idle WebSockets", &[0], |finished| {
        let (through, direct) = finished.stdout.split_once("ws://localhost:8081").expect("two reports");
        let closed = "Closed by the server";
        assert!(through.contains(closed) && !direct.contains(closed), "{finished}");
    }),
    ("outlier ejection", &[0], |finished| {
        let (_, after) = finished.stdout.split_once("  after: ").expect("three parts");
        assert!(after.contains(" 0 did not succeed"), "nginx asks the other server: {finished}");
    }),
    ("sticky", &[0], |finished| {
        assert_eq!(finished.stdout.lines().count(), 2, "{finished}");
    }),
    // Where other machines take the CPUs, all blocks are discarded, and the answer is that there is none.
    ("cost", &[0, 4], |finished| {
        assert!(finished.stdout.starts_with("nginx at 200 requests/s: "), "{finished}");
        if finished.code == Some(4) {
            assert!(finished.stdout.contains("can't be judged"), "{finished}");
            assert!(finished.stdout.contains("blocks discarded"), "{finished}");
        }
    }),
];

fn rows() -> Cases {
    let mut cases = Cases::new();
    for (index, (name, codes, check)) in RECIPES.into_iter().enumerate() {
        let title = name.replace(' ', "_").to_lowercase();
        cases = cases.named(format!("recipes::{title}"), move || {
            if let Some(finished) = cooked(index) {
                assert!(finished.code.is_some_and(|code| codes.contains(&code)), "{finished}");
                check(&finished);
            }
        });
    }
    cases
}

/// What the commands of a recipe printed, with what was promised in it; `None` when something is missing and the test is
/// skipped.
fn cooked(index: usize) -> Option<Finished> {
    let page = fs::read_to_string(top().join("docs/recipes.md")).expect("there is a page");
    let sections: Vec<&str> = page.split("\n## ").collect();
    assert_eq!(sections.len(), RECIPES.len() + 1, "each section is a recipe");
    let (kitchen, section) = (sections[0], sections[index + 1]);
    let heading = section.lines().next().expect("a heading");
    assert!(heading.contains(RECIPES[index].0), "{heading}");

    let (nginx, tools) = (require("nginx")?, ["bash", "curl", "jq"].map(require));
    let sandbox = Sandbox::new()?;
    if tools.contains(&None) {
        return None;
    }
    let _servers = Servers::start(&sandbox, kitchen, &nginx);
    let (commands, promised) = (block(section, ""), block(section, "text"));
    let pidfile = sandbox.directory.path().join("unused");
    let finished = sandbox.start(&commands, &pidfile).finish(LONGEST);
    let said = without_figures(&finished.stdout);
    for line in promised.lines() {
        assert!(said.contains(&without_figures(line)), "'{line}' is not in:\n{finished}");
    }
    Some(finished)
}

/// The first block between fences with this language.
fn block(section: &str, language: &str) -> String {
    let blocks = section.split("```").skip(1).step_by(2);
    let mut of_language = blocks.filter_map(|block| block.strip_prefix(language)?.strip_prefix('\n'));
    of_language.next().unwrap_or_else(|| panic!("no block of '{language}' in:\n{section}")).to_owned()
}

/// The same words, with `N` for each number and one space between two of them: reports are folded where a terminal ends.
fn without_figures(text: &str) -> String {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let (mut plain, mut letters) = (String::new(), text.chars().peekable());
    while let Some(letter) = letters.next() {
        let is_in_number = plain.ends_with('N');
        let is_before_digit = letters.peek().is_some_and(char::is_ascii_digit);
        match letter {
            '0'..='9' if is_in_number => {}
            '0'..='9' => plain.push('N'),
            '.' | ',' if is_in_number && is_before_digit => {}
            _ => plain.push(letter),
        }
    }
    plain
}

/// The servers of the page and its nginx; both are ended when this is dropped.
struct Servers {
    _servers: Process,
    nginx: Option<Process>,
}

impl Servers {
    fn start(sandbox: &Sandbox, kitchen: &str, nginx: &Path) -> Self {
        let directory = sandbox.directory.path();
        // As the one that is started, so that the process is the server itself.
        let words = format!("exec {}", block(kitchen, ""));
        let servers = sandbox.start(&words, &directory.join("servers.pid"));
        servers
            .await_stderr("line with the admin port", |log| log.contains(" listening admin=").then_some(()));
        let shown = directory.display();
        // Nothing of it is to lie in the folders of the machine's own nginx.
        let own = format!(
            "http {{\n  access_log off;\n  client_body_temp_path {shown}/body;\n  proxy_temp_path {shown}/proxy;
  fastcgi_temp_path {shown}/fastcgi;\n  uwsgi_temp_path {shown}/uwsgi;\n  scgi_temp_path {shown}/scgi;"
        );
        let user = if rustix::process::geteuid().is_root() { "user root;\n" } else { "" };
        let text = block(kitchen, "nginx").replace("http {", &own);
        let file = directory.join("nginx.conf");
        let head = format!("{user}worker_processes 1;\npid {shown}/nginx.pid;\nerror_log stderr notice;\n");
        fs::write(&file, head + &text).expect("a file is written");
        // The command `nginx` of the recipes is this one.
        let script = format!(
            "#!/bin/sh\nexec {} -p {shown} -e stderr -c {} \"$@\"\n",
            nginx.display(),
            file.display()
        );
        let program = directory.join("bin/nginx");
        fs::write(&program, script).expect("a file is written");
        let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(&program, executable).expect("it becomes executable");
        let nginx = sandbox.start("exec nginx -g 'daemon off;'", &directory.join("unused"));
        nginx.await_stderr("worker", |log| log.contains("start worker process").then_some(()));
        Self { _servers: servers, nginx: Some(nginx) }
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        // Killed, it would leave its worker behind.
        if let Some(mut nginx) = self.nginx.take()
            && !nginx.has_ended()
        {
            nginx.signal(Signal::TERM);
            nginx.wait_for_end(integration::PATIENCE);
        }
    }
}
