//! The user that a container runs as: numbers, known before it starts, and never root's.
//!
//! The image's own `/etc/passwd` and `/etc/group` define the names in its `USER`. The engine only gets numbers, so that it
//! looks nothing up itself.

/// The user of a container whose image names none: nobody, on every Linux.
pub(super) const NOBODY: User = User { uid: 65_534, gid: 65_534 };

/// The largest number of a user or group that engines accept.
const MAX_ID: u32 = i32::MAX as u32;

/// The user that a container runs as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct User {
    pub(super) uid: u32,
    pub(super) gid: u32,
}

/// A user or group as the image names it.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Named {
    Number(u32),
    Name(String),
}

/// An image's `USER`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wanted {
    user: Named,
    group: Option<Named>,
}

impl User {
    /// In the engine's form.
    pub(super) fn numbers(self) -> String {
        format!("{}:{}", self.uid, self.gid)
    }

    /// This user, or nobody in place of a user with root's rights.
    fn without_root(self) -> Self {
        if self.uid == 0 || self.gid == 0 { NOBODY } else { self }
    }
}

impl Named {
    /// `None` for a number that no engine accepts.
    fn parse(text: &str) -> Option<Self> {
        if text.bytes().all(|byte| byte.is_ascii_digit()) {
            // As the engine reads it: leading zeros change nothing.
            return text.parse().ok().filter(|id| *id <= MAX_ID).map(Self::Number);
        }
        Some(Self::Name(text.to_owned()))
    }
}

impl Wanted {
    /// `Ok(None)` if the image names nobody, which means root; an error if it names what cannot exist.
    pub(super) fn parse(named: &str) -> Result<Option<Self>, &'static str> {
        let (user, group) = named.split_once(':').map_or((named, None), |(user, group)| (user, Some(group)));
        if user.is_empty() {
            return Ok(None);
        }
        let impossible = "no engine takes such a number";
        let group = group.filter(|group| !group.is_empty());
        let group = group.map(|group| Named::parse(group).ok_or(impossible)).transpose()?;
        Ok(Some(Self { user: Named::parse(user).ok_or(impossible)?, group }))
    }

    /// Whether the numbers alone say that it is root, or who else it is.
    pub(super) fn by_numbers(&self) -> Option<User> {
        match (&self.user, &self.group) {
            (Named::Number(0), _) | (_, Some(Named::Number(0))) => Some(NOBODY),
            (&Named::Number(uid), &Some(Named::Number(gid))) => Some(User { uid, gid }),
            (Named::Number(_), None) | (Named::Name(_), _) | (_, Some(Named::Name(_))) => None,
        }
    }

    /// Looks up the names. Without a named group, a user gets the group of its entry, or the one with its own number.
    pub(super) fn look_up(&self, passwd: &str, group: &str) -> Result<User, &'static str> {
        let entry = match &self.user {
            Named::Number(uid) => entries(passwd).find(|fields| id(fields.get(2)) == Some(*uid)),
            Named::Name(name) => entries(passwd).find(|fields| fields.first() == Some(&name.as_str())),
        };
        let uid = match &self.user {
            Named::Number(uid) => *uid,
            Named::Name(_) => {
                let fields = entry.as_ref().ok_or("its /etc/passwd has no such user")?;
                id(fields.get(2)).ok_or("its /etc/passwd gives that user no number")?
            }
        };
        let gid = match &self.group {
            Some(Named::Number(gid)) => *gid,
            Some(Named::Name(name)) => {
                let found = entries(group).find(|fields| fields.first() == Some(&name.as_str()));
                let found = found.ok_or("its /etc/group has no such group")?;
                id(found.get(2)).ok_or("its /etc/group gives that group no number")?
            }
            None => match entry {
                Some(fields) => id(fields.get(3)).ok_or("its /etc/passwd gives that user no group")?,
                None => uid,
            },
        };
        Ok(User { uid, gid }.without_root())
    }
}

fn entries(text: &str) -> impl Iterator<Item = Vec<&str>> {
    text.lines().map(|line| line.split(':').collect())
}

fn id(field: Option<&&str>) -> Option<u32> {
    let text = field?.trim();
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    text.parse().ok().filter(|id| *id <= MAX_ID)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/:/bin/sh\ntoor:x:0:0::/:\napp:x:1000:1001::/:\nwheel:x:1002:0::/:\n\
                          odd:x:00:5::/:\nhex:x:0x0:0x0::/:\nbroken\nhuge:x:4294967296:1::/:\n1234:x:0:0::/:\n\
                          -0:x:1005:1005::/:\nnobody:x:65534:65534::/:\n";
    const GROUP: &str = "root:x:0:\nadmin:x:0:app\nstaff:x:50:app\nbroken\n";

    fn user(named: &str) -> Result<User, &'static str> {
        match Wanted::parse(named)? {
            None => Ok(NOBODY),
            Some(wanted) => wanted.by_numbers().map_or_else(|| wanted.look_up(PASSWD, GROUP), Ok),
        }
    }

    #[test]
    fn root_by_any_name_or_number_and_nobody_in_particular_run_as_nobody() {
        for named in [
            "",
            "root",
            "0",
            "0:0",
            "00",
            "000:5",
            "root:root",
            "toor",
            "toor:staff",
            ":0",
            ":5",
            ":root",
            "1000:0",
            "1000:00",
            "1000:root",
            "1000:admin",
            "app:admin",
            "app:0",
            "wheel",
            "1002",
            "odd",
            "0:1000",
            "root:",
        ] {
            assert_eq!(user(named), Ok(NOBODY), "{named:?}");
        }
    }

    #[test]
    fn another_user_is_the_one_that_the_image_knows() {
        for (named, uid, gid) in [
            ("app", 1000, 1001),
            ("app:", 1000, 1001),
            ("app:staff", 1000, 50),
            ("app:7", 1000, 7),
            ("1000", 1000, 1001),
            ("01000", 1000, 1001),
            ("1000:1000", 1000, 1000),
            ("1000:staff", 1000, 50),
            ("4242", 4242, 4242),
            // A number is never a name. A name that looks like a number is what its entry says.
            ("1234", 1234, 1234),
            ("-0", 1005, 1005),
        ] {
            assert_eq!(user(named), Ok(User { uid, gid }), "{named:?}");
        }
    }

    #[test]
    fn whom_the_image_does_not_know_it_cannot_name() {
        for named in [
            "nosuch",
            "+0",
            "0x0",
            "hex",
            "huge",
            "broken",
            "4294967296",
            "4294967295",
            "2147483648",
            "1000:4294967296",
            "app:nosuch",
            "app:broken",
            "99999999999999999999",
            " 0",
            "root ",
            "0 ",
        ] {
            assert!(user(named).is_err(), "{named:?} is {:?}", user(named));
        }
    }
}
