//! The executable requirements of the RFCs, against both servers as a stranger starts them.

use conformance_tests::{
    Clock, Level, Limits, Outcome, Subject, Target, catalogue, plan, run, run_plans,
};

use crate::process::Place;

#[tokio::test]
async fn no_must_is_broken_by_what_a_stranger_starts() {
    let place = Place::new();
    let _running = place.start(&[]);
    let target = Target::from_demo(place.demo().to_string().as_bytes()).unwrap();
    let subject = Subject::connect(target, Clock::system(), Limits::default())
        .await
        .unwrap();
    let report = run(&subject, catalogue::STANDARDS, |_| ()).await;
    assert!(report.summary.passed > 240, "{}", report.text());
    for requirement in report.requirements() {
        let failed = matches!(requirement.result, Outcome::Failed { .. });
        assert!(
            !failed || requirement.level == Level::Should,
            "{}: {}",
            requirement.id,
            requirement.statement
        );
    }
    let report = run_plans(&subject, plan::PLANS, |_| ()).await;
    assert_eq!(report.summary.failed, 0, "{}", report.text());
    assert!(report.summary.passed > 70, "{}", report.text());
}
