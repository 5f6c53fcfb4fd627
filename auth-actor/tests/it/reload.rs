//! Reading the file anew holds up nobody, and what was judged before counts no more.

use std::fs;
use std::process::Command;

use auth_actor::{Action, AuthError};

use crate::harness::{TestAuth, user, within};

fn allow(topic: &str) -> String {
    format!("[[rule]]\npermission = \"allow\"\naction = \"all\"\ntopic = {topic:?}\n")
}

/// A file that cannot be read to its end, as on a disk that hangs: the questions are answered by the rules in force, and
/// whoever asks for reload after reload hears that one is under way.
#[actix::test]
async fn a_file_that_cannot_be_read_to_its_end_holds_up_nobody() {
    let auth = TestAuth::with_file(&(user("ann", "right") + &allow("before")));
    fs::remove_file(auth.file()).unwrap();
    assert!(Command::new("mkfifo").arg(auth.file()).status().unwrap().success());

    let mut reloads: Vec<_> = (0..40).map(|_| actix::spawn(auth.address.send(auth_actor::Reload))).collect();
    // Behind them in the mailbox.
    assert!(auth.may(Action::Publish, "before").await);
    assert!(!auth.may(Action::Publish, "after").await);
    assert_eq!(auth.live.revision(), 0);
    let refused = within(reloads.pop().unwrap()).await.unwrap().unwrap();
    assert!(matches!(refused, Err(AuthError::Reloading)), "{refused:?}");

    // What the first of them waits for; the pipe is a file again for those behind it.
    let text = user("ann", "right") + &allow("after");
    let file = auth.file();
    std::thread::spawn(move || {
        let mut pipe = fs::OpenOptions::new().write(true).open(&file).unwrap();
        fs::remove_file(&file).unwrap();
        fs::write(&file, &text).unwrap();
        std::io::Write::write_all(&mut pipe, text.as_bytes()).unwrap();
    });
    within(reloads.remove(0)).await.unwrap().unwrap().unwrap();
    assert!(auth.may(Action::Publish, "after").await);
    assert!(!auth.may(Action::Publish, "before").await);
}

/// Rules by the ten thousand and a question that takes as many turns: what asks for less is answered before it, and when
/// the rules are replaced meanwhile, it is judged by the new ones alone.
#[actix::test]
async fn a_question_that_takes_long_is_judged_by_one_edition_of_the_rules() {
    const RULES: usize = 30_000;
    let many: String = (0..RULES).map(|number| allow(&format!("t/{number}"))).collect();
    let auth = TestAuth::with_file(&many);
    // Each is allowed by the last rule of the first file, and by none of the second.
    let last = (Action::Publish, format!("t/{}", RULES - 1));
    let question = auth_actor::Authorize {
        client_identifier: "meter-1".to_owned(),
        user_name: None,
        grant: None,
        wishes: vec![last; 200].into(),
    };
    let asked = actix::spawn(auth.try_to_ask(question));
    while auth.asking.waiting() == 0 {
        tokio::task::yield_now().await;
    }
    assert!(auth.may(Action::Publish, "t/0").await);
    assert!(!asked.is_finished(), "6,000,000 comparisons are more than one turn");
    fs::write(auth.file(), allow("t/0")).unwrap();
    auth.reload().await.unwrap();
    let given = within(asked).await.unwrap().unwrap();
    assert_eq!(given.answer.verdicts, [false; 200]);
    assert_eq!(given.revision, 0, "who asked will see that it is outdated");
}
