//! A name server with one answer for each name.

use core::cell::RefCell;
use core::fmt;
use std::rc::Rc;

use embassy_net::udp::{PacketMetadata, UdpSocket};
use embassy_net::{IpAddress, Ipv4Address, Ipv6Address, Stack};
use whisperr_virtual_time::Tasks;

type Find<A> = Box<dyn FnMut(&str) -> Option<A>>;

/// The type of a question for an IPv6 address.
const AAAA: u8 = 28;

/// The name server. Clones are the same one.
#[derive(Clone)]
pub struct Names {
    find: Rc<RefCell<Find<Ipv4Address>>>,
    find_v6: Rc<RefCell<Find<Ipv6Address>>>,
    asked: Rc<RefCell<Vec<String>>>,
}

impl fmt::Debug for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Names").field("asked", &self.asked).finish_non_exhaustive()
    }
}

impl Names {
    /// Knows no name.
    pub(crate) fn new() -> Self {
        let find: Find<Ipv4Address> = Box::new(|_| None);
        let find_v6: Find<Ipv6Address> = Box::new(|_| None);
        Self {
            find: Rc::new(RefCell::new(find)),
            find_v6: Rc::new(RefCell::new(find_v6)),
            asked: Rc::default(),
        }
    }

    /// Answers so from here on; `None` is "no such name".
    pub fn answer(&self, find: impl FnMut(&str) -> Option<Ipv4Address> + 'static) {
        *self.find.borrow_mut() = Box::new(find);
    }

    /// The same for IPv6.
    pub fn answer_v6(&self, find: impl FnMut(&str) -> Option<Ipv6Address> + 'static) {
        *self.find_v6.borrow_mut() = Box::new(find);
    }

    /// The names it was asked for.
    #[must_use]
    pub fn asked(&self) -> Vec<String> {
        self.asked.borrow().clone()
    }

    pub(crate) fn start(&self, tasks: &Tasks, stack: Stack<'static>) {
        tasks.spawn(self.clone().serve(stack));
    }

    async fn serve(self, stack: Stack<'static>) {
        let (mut rx_meta, mut tx_meta) = ([PacketMetadata::EMPTY; 4], [PacketMetadata::EMPTY; 4]);
        let (mut rx, mut tx) = (vec![0; 1024], vec![0; 1024]);
        let mut socket = UdpSocket::new(stack, &mut rx_meta, &mut rx, &mut tx_meta, &mut tx);
        if socket.bind(53).is_err() {
            return;
        }
        let mut packet = [0; 512];
        loop {
            let Ok((len, from)) = socket.recv_from(&mut packet).await else { continue };
            let Some(reply) = packet.get(..len).and_then(|query| self.reply(query)) else { continue };
            let _lost_otherwise = socket.send_to(&reply, from).await;
        }
    }

    /// The reply to a query for one name.
    fn reply(&self, query: &[u8]) -> Option<Vec<u8>> {
        let mut name = String::new();
        let mut rest = query.get(12..)?;
        while let [len @ 1..=63, behind @ ..] = rest {
            let (label, behind) = behind.split_at_checked((*len).into())?;
            if !name.is_empty() {
                name.push('.');
            }
            name.push_str(core::str::from_utf8(label).ok()?);
            rest = behind;
        }
        // The root, and the type and class of the question.
        let question_bytes = query.len().checked_sub(rest.len())?.checked_add(5)?.checked_sub(12)?;
        let question = query.get(12..)?.get(..question_bytes)?;
        self.asked.borrow_mut().push(name.clone());
        let found = if rest.get(1..3) == Some(&[0, AAAA]) {
            (self.find_v6.borrow_mut())(&name).map(IpAddress::Ipv6)
        } else {
            (self.find.borrow_mut())(&name).map(IpAddress::Ipv4)
        };
        let mut reply = query.get(..2)?.to_vec();
        match found {
            Some(address) => {
                reply.extend([0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0]);
                reply.extend(question);
                match address {
                    IpAddress::Ipv4(address) => {
                        reply.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4]);
                        reply.extend(address.octets());
                    }
                    IpAddress::Ipv6(address) => {
                        reply.extend([0xc0, 12, 0, AAAA, 0, 1, 0, 0, 0, 60, 0, 16]);
                        reply.extend(address.octets());
                    }
                }
            }
            None => {
                reply.extend([0x81, 0x83, 0, 1, 0, 0, 0, 0, 0, 0]);
                reply.extend(question);
            }
        }
        Some(reply)
    }
}
