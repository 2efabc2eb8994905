//! A Redis Cluster: slots, and what its nodes say of them.

use redis::{RedisError, Value};

use crate::access::Address;
use crate::error::Error;

/// How many slots there are.
pub(crate) const SLOTS: u16 = 16_384;

/// The slots that one server serves: first and last.
pub(crate) type Range = (u16, u16, Address);

/// What a node said instead of doing it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Redirect {
    /// Another one serves the slot.
    Moved(u16, Address),
    /// Another one has these keys already, and takes the slot over.
    Ask(Address),
    /// Some keys of the slot are still here, and some are not.
    TryAgain,
}

/// The slot of a key: that of what is between its first brace and the next closing one, if it is
/// something.
pub(crate) fn slot(key: &[u8]) -> u16 {
    let open = key.iter().position(|byte| *byte == b'{').map(|at| at + 1);
    let inside = open.and_then(|at| key.get(at..)).and_then(|rest| {
        let close = rest.iter().position(|byte| *byte == b'}')?;
        rest.get(..close).filter(|inside| !inside.is_empty())
    });
    crc16(inside.unwrap_or(key)) % SLOTS
}

/// CRC-16/XMODEM.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, byte| {
        (0..8).fold(crc ^ (u16::from(*byte) << 8), |crc: u16, _| {
            if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ 0x1021 }
        })
    })
}

/// Reads the answer to `CLUSTER SLOTS`, which the node at `asked` gave.
pub(crate) fn read_slots(answer: Value, asked: &Address) -> Result<Vec<Range>, Error> {
    const WHAT: Error = Error::Unreadable("the list of slots");
    let Value::Array(ranges) = answer else { return Err(WHAT) };
    let ranges = ranges.into_iter().map(|range| {
        let Value::Array(parts) = range else { return Err(WHAT) };
        let mut parts = parts.into_iter();
        let mut next = || parts.next().ok_or(WHAT);
        let number = |value: Value| match value {
            Value::Int(number) => u16::try_from(number).map_err(|_| WHAT),
            _ => Err(WHAT),
        };
        let (first, last) = (number(next()?)?, number(next()?)?);
        let Value::Array(master) = next()? else { return Err(WHAT) };
        let mut master = master.into_iter();
        let host = match master.next() {
            Some(Value::BulkString(host)) => String::from_utf8(host).map_err(|_| WHAT)?,
            _ => String::new(),
        };
        let port = number(master.next().ok_or(WHAT)?)?;
        Ok((first, last, beside(asked, &host, port)))
    });
    ranges.collect()
}

/// Where a node says that another one is. One that does not know its own name leaves it out.
fn beside(asked: &Address, host: &str, port: u16) -> Address {
    asked.beside(if matches!(host, "" | "?") { asked.host() } else { host }, port)
}

/// Finds out whether answers of the node at `asked` lead elsewhere.
pub(crate) fn redirect(answers: &[Value], asked: &Address) -> Option<Redirect> {
    answers.iter().find_map(|answer| {
        let Value::ServerError(error) = answer else { return None };
        let details = error.details().unwrap_or_default();
        let place = || {
            let (slot, place) = details.split_once(' ')?;
            let (host, port) = place.rsplit_once(':')?;
            Some((slot.parse().ok()?, beside(asked, host, port.parse().ok()?)))
        };
        match error.code() {
            "MOVED" => place().map(|(slot, place)| Redirect::Moved(slot, place)),
            "ASK" => place().map(|(_, place)| Redirect::Ask(place)),
            "TRYAGAIN" => Some(Redirect::TryAgain),
            _ => None,
        }
    })
}

/// Whether an error says that the server, or the Cluster, is not what it should be now. Nothing was
/// done then.
pub(crate) fn is_out_of_order(error: &RedisError) -> bool {
    let codes = ["READONLY", "MASTERDOWN", "CLUSTERDOWN", "LOADING"];
    codes.iter().any(|code| crate::error::has_code(error, code))
}

#[cfg(test)]
mod tests {
    use redis::parse_redis_value;

    use super::*;
    use crate::access::Place;

    fn address(url: &str) -> Address {
        Place::read(url).unwrap().address
    }

    #[test]
    fn slots_are_those_of_redis() {
        assert_eq!(crc16(b"123456789"), 0x31c3);
        assert_eq!(slot(b"foo"), 12_182);
        assert_eq!(slot(b"p:sd:{foo}:x"), slot(b"foo"));
        assert_eq!(slot(b"a{}b"), crc16(b"a{}b") % SLOTS);
        assert_eq!(slot(b"{{a}}"), slot(b"{a"));
    }

    #[test]
    fn a_node_tells_where_to_go() {
        let asked = address("redis://h:1");
        let told = |text: &str| {
            let answer = parse_redis_value(format!("-{text}\r\n").as_bytes()).unwrap();
            redirect(&[Value::Okay, answer], &asked)
        };
        let moved = Some(Redirect::Moved(7, address("redis://i:2")));
        assert_eq!(told("MOVED 7 i:2"), moved);
        assert_eq!(told("MOVED 7 :2"), Some(Redirect::Moved(7, address("redis://h:2"))));
        assert_eq!(told("ASK 7 ::1:2"), Some(Redirect::Ask(asked.beside("::1", 2))));
        assert_eq!(told("TRYAGAIN now"), Some(Redirect::TryAgain));
        assert_eq!(told("ERR MOVED 7 i:2"), None);
    }

    #[test]
    fn a_list_of_slots_is_read() {
        let text = "*2\r\n*3\r\n:0\r\n:5\r\n*3\r\n$1\r\ni\r\n:2\r\n$2\r\nid\r\n\
                    *3\r\n:6\r\n:16383\r\n*2\r\n$-1\r\n:3\r\n";
        let answer = parse_redis_value(text.as_bytes()).unwrap();
        let asked = address("redis://h:1");
        let wanted = vec![(0, 5, address("redis://i:2")), (6, 16_383, address("redis://h:3"))];
        assert_eq!(read_slots(answer, &asked).unwrap(), wanted);
        assert!(read_slots(Value::Okay, &asked).is_err());
    }
}
