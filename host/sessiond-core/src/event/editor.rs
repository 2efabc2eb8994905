//! An event in the hands of a guest: what it may read, what it may change, and what stays true.

use std::sync::Arc;

use super::{Event, EventError, Received};
use crate::dialect::{Content, ContentKind, Dialect, Facts};
use crate::json::edit::{Class, Form, JsonText, PlaceId, Refused};
use crate::json::{Index, member};
use crate::state::{self, StateChange, StateValue};

/// What a guest may do with an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Read it.
    Read,
    /// Change its content and its changes of state.
    Edit,
}

/// Why an edit was refused. Nothing has changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    /// The row is not to be changed here.
    #[error("this cannot be changed here: {0}")]
    ReadOnly(&'static str),
    /// The value is not acceptable.
    #[error("{0}")]
    Invalid(String),
    /// The event would grow past the limit.
    #[error("the event would have more than the {0} bytes of `session.max_event_size`")]
    TooLarge(usize),
}

impl EditError {
    /// The code in the plugin contract.
    pub fn code(&self) -> &'static str {
        match self {
            Self::ReadOnly(_) => "read-only",
            Self::Invalid(_) => "invalid",
            Self::TooLarge(_) => "too-large",
        }
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::Invalid(message.into())
    }
}

/// A piece of content, as a guest gets it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextPart {
    /// The number for [`EventEditor::set_text`].
    pub index: u32,
    /// What it is.
    pub kind: ContentKind,
    /// The text.
    pub text: String,
    /// The id of the tool call.
    pub call_id: Option<String>,
    /// The name of the tool.
    pub tool: Option<String>,
}

/// A string, name or number, as a guest gets it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StringPart {
    /// The number for [`EventEditor::set_string`].
    pub index: u32,
    /// The text.
    pub text: String,
}

/// Which texts hold an event: its body, and the changes of state beside it.
#[derive(Debug, Clone, Copy)]
enum Document {
    Body,
    Beside,
}

/// The places of an event, made when a guest first asks for them.
#[derive(Debug, Clone)]
struct Parts {
    body: JsonText,
    beside: Option<JsonText>,
    texts: Vec<(Content, PlaceId)>,
    strings: Vec<(Class, Document, PlaceId)>,
}

/// An event, and the edits made to it so far.
#[derive(Debug, Clone)]
pub struct EventEditor {
    event: Arc<Event>,
    access: Access,
    max_size: usize,
    parts: Option<Box<Parts>>,
    /// An edit of another kind has made the numbers void that were given out before.
    void: bool,
}

const NUMBER: &str = "no part has this number, or an edit of the text around it has replaced it";
const VOID: &str =
    "the numbers are void after `set-body`, `set-state` and `remove-state`: list the parts again";
const IDENTITY: &str =
    "the id, author, role, invocation, tool-call ids and time of an event cannot be changed";

impl EventEditor {
    /// Opens an event. `max_size` bounds its size after edits, in bytes.
    pub fn new(event: Arc<Event>, access: Access, max_size: usize) -> Self {
        Self { event, access, max_size, parts: None, void: false }
    }

    /// The same event under another id.
    #[must_use]
    pub(crate) fn with_id(self, id: String) -> Self {
        Self { event: Arc::new(Event::clone(&self.event).with_id(id)), ..self }
    }

    /// The same, to look at only.
    #[must_use]
    pub(crate) fn read_only(self) -> Self {
        Self { access: Access::Read, ..self }
    }

    /// The event, without the edits made since its parts were listed: good for all but its text.
    pub fn event(&self) -> &Event {
        &self.event
    }

    /// The body, with the edits made so far.
    pub fn body(&self) -> &str {
        self.parts.as_ref().map_or(self.event.body(), |parts| parts.body.as_str())
    }

    /// The content, in order.
    pub fn texts(&mut self) -> Vec<TextPart> {
        self.void = false;
        let parts = self.parts();
        let texts = parts.texts.iter().enumerate().filter_map(|(at, (content, place))| {
            Some(TextPart {
                index: u32::try_from(at).ok()?,
                kind: content.kind,
                text: parts.body.read(*place)?,
                call_id: content.call_id.clone(),
                tool: content.tool.clone(),
            })
        });
        texts.collect()
    }

    /// Every string of the body and of the changes of state, but those of its identity.
    pub fn strings(&mut self) -> Vec<StringPart> {
        self.of_class(Class::String)
    }

    /// The name of every member.
    pub fn names(&mut self) -> Vec<StringPart> {
        self.of_class(Class::Name)
    }

    /// Every number.
    pub fn numbers(&mut self) -> Vec<StringPart> {
        self.of_class(Class::Number)
    }

    fn of_class(&mut self, wanted: Class) -> Vec<StringPart> {
        self.void = false;
        let parts = self.parts();
        let strings = parts.strings.iter().enumerate().filter(|(_, (class, ..))| *class == wanted);
        let strings = strings.filter_map(|(at, (_, document, place))| {
            let text = parts.document(*document)?.read(*place)?;
            Some(StringPart { index: u32::try_from(at).ok()?, text })
        });
        strings.collect()
    }

    /// Replaces a piece of content.
    ///
    /// # Errors
    /// [`EditError`]: in an event that is read only, for a number that is void, for text that is
    /// not JSON where the client sent a JSON value, and past the size limit.
    pub fn set_text(&mut self, index: u32, text: &str) -> Result<(), EditError> {
        let place = {
            let parts = self.writable_parts()?;
            parts.texts.get(index as usize).map(|(_, place)| *place)
        };
        self.write(Document::Body, place, text)
    }

    /// Replaces a string, name or number.
    ///
    /// # Errors
    /// [`EditError`], as for [`EventEditor::set_text`], and for a name that the dialect is made of.
    pub fn set_string(&mut self, index: u32, text: &str) -> Result<(), EditError> {
        let found = self.writable_parts()?.strings.get(index as usize).copied();
        let Some((class, document, place)) = found else {
            return Err(EditError::invalid(NUMBER));
        };
        if class != Class::Name {
            return self.write(document, Some(place), text);
        }
        let before = self.parts.clone();
        self.write(document, Some(place), text)?;
        let checked = self.check_renamed(before.as_deref(), document);
        if checked.is_err() {
            self.parts = before;
        }
        checked
    }

    /// A new name must leave the event what it is, and every member apart from the others.
    fn check_renamed(&self, before: Option<&Parts>, document: Document) -> Result<(), EditError> {
        let doubled = |parts: Option<&Parts>| {
            parts.and_then(|parts| parts.document(document)).map_or(0, JsonText::doubled_names)
        };
        if doubled(self.parts.as_deref()) > doubled(before) {
            return Err(EditError::invalid("the object has a member of that name already"));
        }
        self.rebuilt().map(drop)
    }

    fn write(
        &mut self,
        document: Document,
        place: Option<PlaceId>,
        text: &str,
    ) -> Result<(), EditError> {
        let max_size = self.max_size;
        let parts = self.parts();
        let room = max_size.saturating_sub(parts.size());
        let edited = parts.document_mut(document).zip(place);
        let (edited, place) = edited.ok_or_else(|| EditError::invalid(NUMBER))?;
        edited.write(place, text, room).map_err(|refused| match refused {
            Refused::NoPlace => EditError::invalid(NUMBER),
            Refused::NotJson => EditError::invalid(
                "the client sent this part as a JSON value: the new text must be JSON",
            ),
            Refused::TooLarge => EditError::TooLarge(max_size),
        })
    }

    /// The changes of state: key and JSON text.
    pub fn state(&self) -> Vec<(String, String)> {
        let Ok(event) = self.rebuilt() else { return Vec::new() };
        let set = event.delta.changes().filter_map(|(key, change)| match change {
            StateChange::Set(value) => Some((key.to_owned(), value.to_json())),
            StateChange::Remove => None,
        });
        set.collect()
    }

    /// Adds or replaces a change of state.
    ///
    /// # Errors
    /// [`EditError`]: in an event that is read only, for a key or a value that is refused, and past
    /// the size limit.
    pub fn set_state(&mut self, key: &str, value: &str) -> Result<(), EditError> {
        self.check_writable()?;
        state::check_key(key).map_err(|error| EditError::invalid(error.to_string()))?;
        if state::is_temporary(key) {
            return Err(EditError::invalid("`temp:` state is never stored"));
        }
        let index = Index::of(value)
            .map_err(|error| EditError::invalid(format!("the value is not JSON: {error}")))?;
        let value = StateValue::from_json(index.root(value));
        self.edit_delta(|text, path, base64| {
            let raw = if base64 { value.to_base64() } else { value.to_json() };
            member::set(text, path, key, &raw)
        })
    }

    /// Takes a change of state out of the event.
    ///
    /// # Errors
    /// [`EditError::ReadOnly`], in an event that is read only.
    pub fn remove_state(&mut self, key: &str) -> Result<(), EditError> {
        self.check_writable()?;
        self.edit_delta(|text, path, _| member::remove(text, path, |name| name == key))
    }

    fn edit_delta(
        &mut self,
        edit: impl Fn(&str, &[&str], bool) -> String,
    ) -> Result<(), EditError> {
        let current = self.rebuilt()?;
        let (body, beside) = match current.dialect.delta() {
            Some(place) => {
                let index = Index::of(&current.body);
                let path = index.map(|index| place.path(index.root(&current.body)));
                let path = path.map_err(|error| EditError::invalid(error.to_string()))?;
                (edit(&current.body, path, place.base64), current.state_delta.clone())
            }
            None => {
                let beside = current.state_delta.as_deref().unwrap_or("{}");
                (current.body.clone(), Some(edit(beside, &[], false)))
            }
        };
        self.replace(body, beside)
    }

    /// Replaces the body.
    ///
    /// # Errors
    /// [`EditError`]: in an event that is read only, for a body that a client could not send, for
    /// one of another dialect or identity, and past the size limit.
    pub fn set_body(&mut self, body: &str) -> Result<(), EditError> {
        self.check_writable()?;
        let doubled = |text: &str| JsonText::new(text.to_owned()).doubled_names();
        if doubled(body) > doubled(self.body()) {
            return Err(EditError::invalid(
                "a member is there twice, and readers differ in which counts",
            ));
        }
        let beside = self.beside();
        self.replace(body.to_owned(), beside)
    }

    fn replace(&mut self, body: String, beside: Option<String>) -> Result<(), EditError> {
        let event = self.event.edited(body, beside, self.max_size)?;
        self.event = Arc::new(event);
        self.parts = None;
        self.void = true;
        Ok(())
    }

    /// The event with all edits, checked as what a client sends is.
    ///
    /// # Errors
    /// [`EditError`], when the edits together make an event that cannot be kept.
    pub fn finish(mut self) -> Result<Arc<Event>, EditError> {
        self.settle()?;
        Ok(self.event)
    }

    /// Makes the edits so far the event. Numbers given out before are void.
    ///
    /// # Errors
    /// [`EditError`], as for [`EventEditor::finish`].
    pub fn settle(&mut self) -> Result<(), EditError> {
        if self.body() != self.event.body() || self.beside() != self.event.state_delta {
            self.event = Arc::new(self.rebuilt()?);
        }
        self.parts = None;
        Ok(())
    }

    fn rebuilt(&self) -> Result<Event, EditError> {
        self.event.edited(self.body().to_owned(), self.beside(), self.max_size)
    }

    fn beside(&self) -> Option<String> {
        match &self.parts {
            Some(parts) => parts.beside.as_ref().map(|text| text.as_str().to_owned()),
            None => self.event.state_delta.clone(),
        }
    }

    fn check_writable(&self) -> Result<(), EditError> {
        match self.access {
            Access::Edit => Ok(()),
            Access::Read => {
                Err(EditError::ReadOnly("the event is stored, or read only to sum it up"))
            }
        }
    }

    fn writable_parts(&mut self) -> Result<&mut Parts, EditError> {
        self.check_writable()?;
        if self.void {
            return Err(EditError::invalid(VOID));
        }
        Ok(self.parts())
    }

    fn parts(&mut self) -> &mut Parts {
        let event = &self.event;
        self.parts.get_or_insert_with(|| Box::new(Parts::of(event)))
    }
}

impl Parts {
    fn of(event: &Event) -> Self {
        let mut parts = Self {
            body: JsonText::new(event.body.clone()),
            beside: event.state_delta.clone().map(JsonText::new),
            texts: Vec::new(),
            strings: Vec::new(),
        };
        if let Ok(index) = Index::of(&event.body) {
            let root = index.root(&event.body);
            let delta = event.dialect.delta().filter(|place| place.base64);
            let encoded: Vec<_> = delta
                .and_then(|place| place.find(root))
                .into_iter()
                .flat_map(|object| object.entries())
                .map(|(_, value)| value.span().start)
                .collect();
            let marked = parts.body.mark_below(root, &event.dialect.identity(root), &encoded);
            parts.strings.extend(marked.into_iter().map(|(class, id)| (class, Document::Body, id)));
            for content in event.dialect.content(root) {
                let form = if content.is_string { Form::String { depth: 0 } } else { Form::Value };
                let place = parts.body.mark(content.span, form);
                parts.texts.push((content, place));
            }
        }
        if let Some(beside) = &mut parts.beside {
            let marked = beside.mark_all(&[], &[]);
            parts
                .strings
                .extend(marked.into_iter().map(|(class, id)| (class, Document::Beside, id)));
        }
        parts
    }

    fn size(&self) -> usize {
        self.body.as_str().len() + self.beside.as_ref().map_or(0, |text| text.as_str().len())
    }

    fn document(&self, document: Document) -> Option<&JsonText> {
        match document {
            Document::Body => Some(&self.body),
            Document::Beside => self.beside.as_ref(),
        }
    }

    fn document_mut(&mut self, document: Document) -> Option<&mut JsonText> {
        match document {
            Document::Body => Some(&mut self.body),
            Document::Beside => self.beside.as_mut(),
        }
    }
}

impl Event {
    /// The same event with another text. What makes its identity must be as it was.
    fn edited(
        &self,
        body: String,
        state_delta: Option<String>,
        max_size: usize,
    ) -> Result<Self, EditError> {
        let dialect = Some(self.dialect);
        let received = Received { body, id: Some(self.id.clone()), dialect, state_delta };
        let edited = Self::parse(received, self.time, max_size).map_err(|error| match error {
            EventError::TooLarge { max, .. } => EditError::TooLarge(max),
            error => EditError::invalid(error.to_string()),
        })?;
        // Who says what the host knows of the event says nothing false, and the body as it was need not be
        // read again. It is where the host knows something else, from a daemon that took other facts of it.
        let identity_now = identity(&edited.facts);
        if identity_now != identity(&self.facts)
            && identity_now != identity(&self.dialect.facts_of(&self.body))
        {
            return Err(EditError::invalid(IDENTITY));
        }
        let facts = Facts { tag: edited.facts.tag.clone(), ..self.facts.clone() };
        Ok(Self { kind: self.kind, time: self.time, facts, ..edited })
    }
}

impl Dialect {
    fn facts_of(self, body: &str) -> Facts {
        Index::of(body).map(|index| self.facts(index.root(body))).unwrap_or_default()
    }
}

/// The facts that no edit may change: all of them but the tag, which is content.
fn identity(facts: &Facts) -> Facts {
    Facts { tag: None, in_history: true, ..facts.clone() }
}
