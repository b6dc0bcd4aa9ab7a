//! Names of servers.

use core::time::Duration;

use embassy_net::Ipv4Address;
use whisperr_embassy::net::{HttpTransport, Server, ServerError, TcpBuffers};
use whisperr_embassy::{Config, Flush};
use whisperr_embassy_tests::{Answer, Faults, Lab, Reach, SERVER, SERVER_V6, leak};

const CONFIG: Config = Config { automatic_events: false, ..Config::DEFAULT };

#[test]
fn a_name_is_looked_up_for_every_connection() {
    let lab = Lab::new(1);
    lab.names().answer(|name| (name == "events.example.com").then_some(SERVER));
    let transport = lab.transport("http://events.example.com:4801".into());
    let client = lab.client_over(lab.flash(), CONFIG, transport);

    for number in 0..4 {
        lab.run(client.track("door_opened", number));
        assert_eq!(lab.run(client.flush()), Flush::Delivered);
        lab.pass(Duration::from_secs(if number == 1 { 100 } else { 1 }));
    }

    assert_eq!(lab.names().asked(), ["events.example.com", "events.example.com"]);
    assert_eq!(lab.server().received()[0].header("host"), Some("events.example.com:4801"));
}

#[test]
fn a_server_is_reached_over_ipv6() {
    for (reach, base_url, asked) in [
        (Reach::V6, "http://events.example.com:4801", 1),
        // There is no IPv4 address of it.
        (Reach::Both, "http://events.example.com:4801", 2),
        (Reach::V6, "http://[fd00::1]:4801", 0),
    ] {
        let lab = Lab::reaching(7, reach);
        lab.names().answer_v6(|name| (name == "events.example.com").then_some(SERVER_V6));
        let transport = lab.transport(base_url.into());
        let client = lab.client_over(lab.flash(), CONFIG, transport);

        lab.run(client.track("door_opened", 0));

        assert_eq!(lab.run(client.flush()), Flush::Delivered, "{reach:?} {base_url}");
        assert_eq!(lab.names().asked().len(), asked, "{reach:?} {base_url}");
    }
}

#[test]
fn over_ipv4_first_where_the_device_has_both() {
    let lab = Lab::reaching(8, Reach::Both);
    lab.names().answer(|_| Some(SERVER));
    lab.names().answer_v6(|_| Some(SERVER_V6));
    let client = lab.client_over(lab.flash(), CONFIG, lab.transport("http://events.example.com:4801".into()));

    lab.run(client.track("door_opened", 0));

    assert_eq!(lab.run(client.flush()), Flush::Delivered);
    assert_eq!(lab.names().asked().len(), 1);
}

#[test]
fn a_name_that_is_not_found_is_tried_again() {
    let lab = Lab::new(2);
    let mut left = 2;
    lab.names().answer(move |_| {
        left -= 1;
        // At first nobody knows it, then it leads nowhere.
        match left {
            1 => None,
            0 => Some(Ipv4Address::new(10, 0, 0, 99)),
            _ => Some(SERVER),
        }
    });
    let transport = lab.transport("http://events.example.com:4801".into());
    let client = lab.client_over(lab.flash(), CONFIG, transport);

    lab.run(client.track("door_opened", 0));
    assert_eq!(lab.run(client.flush()), Flush::Delivered);

    assert_eq!(lab.names().asked().len(), 3);
}

#[test]
fn a_name_server_that_is_silent_holds_an_attempt_up_for_its_time() {
    let lab = Lab::new(3);
    lab.wire().set(Faults { cut: true, ..Faults::NONE });
    let transport = lab.transport("http://events.example.com:4801".into());
    let client =
        lab.client_over(lab.flash(), Config { request_timeout: Duration::from_secs(2), ..CONFIG }, transport);
    lab.run(client.track("door_opened", 0));
    assert_eq!(lab.run(client.flush()), Flush::RetryExhausted);

    lab.wire().set(Faults::NONE);
    lab.names().answer(|_| Some(SERVER));
    lab.server().script(|_| Answer::status(202));
    assert_eq!(lab.run(client.flush()), Flush::Delivered);
}

#[test]
fn what_was_meant_to_be_encrypted_is_never_sent_in_the_clear() {
    let lab = Lab::new(4);
    let default = Server::new("wrk_1").unwrap();
    for server in [default, default.base_url("https://10.0.0.1:4801").unwrap()] {
        let refused = HttpTransport::new(lab.device(), leak(TcpBuffers::<1024, 512>::new()), server);

        let error = refused.unwrap_err();
        assert_eq!(error, ServerError::NoTls);
        assert!(error.to_string().contains("feature tls"), "{error}");
    }
    lab.pass(Duration::from_secs(60));
    assert_eq!(lab.server().connections(), 0);
}
