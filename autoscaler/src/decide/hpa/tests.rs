use rstest::rstest;

use super::*;

fn settings() -> Settings {
    Settings::new(1, 5, 0.06)
}

#[rstest]
#[case(1, &[0.2], Some(4))]
#[case(2, &[0.06, 0.06], Some(2))]
#[case(2, &[0.065, 0.065], Some(2))]
#[case(4, &[0.03; 4], Some(2))]
#[case(3, &[], None)]
#[case(3, &[0.01], Some(3))]
#[case(3, &[0.12], Some(3))]
fn desired_as_documented(#[case] size: u32, #[case] values: &[f64], #[case] wish: Option<u32>) {
    assert_eq!(Hpa::desired(&settings(), size, values), wish);
}

/// On a real control plane a step of load took one node to 4 and then to 5, one sync apart,
/// and the end of it from 5 to 1 in a single patch after 300 to 315 s.
#[test]
fn one_to_four_to_five_and_back_to_one_in_a_single_patch() {
    let (mut hpa, settings, mut size) = (Hpa::default(), settings(), 1);
    let mut patches = Vec::new();
    for second in 0..700 {
        let load = if second < 60 { 100.0 } else { 0.0 };
        let values = vec![load / f64::from(size); size as usize];
        if let Some(new) = hpa.sync(&settings, size, &values, Time(second * 1_000)) {
            patches.push((second, new));
            size = new;
        }
    }
    assert_eq!(patches, [(0, 4), (15, 5), (360, 1)]);
}

/// On our scale HPA's size is the wish, and its pods are those that are still there: what it wished of five pods
/// while `spec` said another number (`disc2_hpa_scale_lag.txt`).
#[rstest]
#[case("load falls to 10 a pod")]
#[case("25 a pod with 5 pods")]
#[case("spec 1 (shrink under way), 5 pods still there, 60 each")]
#[case("spec 1, 5 pods, 66 each")]
#[case("spec 1, 5 pods, 70 each")]
fn a_wish_that_runs_ahead_of_the_pods_as_recorded(#[case] block: &str) {
    let recording = include_str!("../../../../tests/recordings/disc2_hpa_scale_lag.txt");
    let mut lines = recording.lines().skip_while(|line| !line.contains(block)).skip(1);
    let last = lines.by_ref().take_while(|line| !line.starts_with("---")).last().expect("the block is there");
    let number = |word: &str| -> u32 {
        let rest = last.split_once(word).unwrap_or_else(|| panic!("no {word} in {last}")).1;
        let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
        digits.parse().expect("a number")
    };
    let (size, wish, metric) = (number("hpa current "), number("desired "), number("metric ['"));
    let desired = Hpa::desired(&Settings::new(1, 10, 60.0), size, &[f64::from(metric); 5]);
    assert_eq!(desired, Some(wish), "{last}");
}

#[test]
fn nothing_happens_between_two_syncs() {
    let mut hpa = Hpa::default();
    assert_eq!(hpa.sync(&settings(), 1, &[9.0], Time(0)), Some(4));
    assert_eq!(hpa.sync(&settings(), 4, &[9.0; 4], Time(14_000)), None);
}

#[test]
fn the_memory_is_bounded() {
    let mut hpa = Hpa::default();
    let settings = Settings { sync: Duration::ZERO, down_stabilization: Duration::MAX, ..settings() };
    for second in 0..5_000 {
        hpa.sync(&settings, 1, &[0.06], Time(second));
    }
    assert_eq!(hpa.recommendations.len(), KEPT_MAX);
}
