//! Error answers: one JSON form, and the HTTP status that fits.

use axum::{
    Json,
    extract::rejection::{JsonRejection, QueryRejection},
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};

use super::types::{ErrorBody, ErrorCode, ErrorReply};
use crate::{
    explain::Hint as _,
    node::{FetchError, RequestError},
    scheduler::{EnvelopeRefusal, SubmitError},
    store::BlobError,
};

/// When a client may retry while the node loads or has too many clients.
const RETRY_AFTER_SECS: &str = "1";

/// The error answer of a handler.
#[derive(Debug)]
pub(super) struct Failure(ErrorBody);

impl Failure {
    /// The node has no room for another client.
    pub(super) fn busy() -> Self {
        Self::new(ErrorCode::Busy, "too many clients are connected to this node")
            .with_hint("retry when some of them have ended")
    }

    /// The same as a whole HTTP response, for a connection whose request was not read.
    pub(super) fn busy_http() -> String {
        let refusal = Self::busy();
        let status = refusal.status();
        let body = serde_json::to_string(&ErrorReply { error: refusal.0 });
        let body = body.expect("an error has string keys only, so that JSON can hold it");
        format!(
            "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\
             retry-after: {RETRY_AFTER_SECS}\r\nconnection: close\r\n\r\n{body}",
            body.len(),
        )
    }

    pub(super) fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self(ErrorBody { code, message: message.into(), hint: None })
    }

    /// What a client is told.
    pub(super) fn into_body(self) -> ErrorBody {
        self.0
    }

    pub(super) fn with_hint(self, hint: impl Into<String>) -> Self {
        Self(ErrorBody { hint: Some(hint.into()), ..self.0 })
    }

    fn status(&self) -> StatusCode {
        match self.0.code {
            ErrorCode::BadRequest => StatusCode::BAD_REQUEST,
            ErrorCode::Unauthorized => StatusCode::UNAUTHORIZED,
            ErrorCode::Busy | ErrorCode::Loading => StatusCode::SERVICE_UNAVAILABLE,
            ErrorCode::TooSlow => StatusCode::REQUEST_TIMEOUT,
            ErrorCode::ForbiddenHost | ErrorCode::NotRequester => StatusCode::FORBIDDEN,
            ErrorCode::NotFound | ErrorCode::NoSuchJob => StatusCode::NOT_FOUND,
            ErrorCode::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            ErrorCode::InvalidDeal
            | ErrorCode::InvalidSpec
            | ErrorCode::UnknownImage
            | ErrorCode::UnknownInput
            | ErrorCode::KeyReused => StatusCode::UNPROCESSABLE_ENTITY,
            ErrorCode::NotEnoughNodes
            | ErrorCode::AmbiguousJob
            | ErrorCode::Refused
            | ErrorCode::NotDecided
            | ErrorCode::NoResult => StatusCode::CONFLICT,
            ErrorCode::Unavailable => StatusCode::BAD_GATEWAY,
            ErrorCode::Unexpected => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let (status, code) = (self.status(), self.0.code);
        let mut response = (status, Json(ErrorReply { error: self.0 })).into_response();
        if code == ErrorCode::Unauthorized {
            let headers = response.headers_mut();
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            // A client without access needs no connection; others may need it.
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        if matches!(code, ErrorCode::Loading | ErrorCode::Busy) {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER_SECS));
        }
        response
    }
}

impl From<RequestError> for Failure {
    fn from(error: RequestError) -> Self {
        let code = match &error {
            RequestError::Deal(_) | RequestError::ShortReveal { .. } => ErrorCode::InvalidDeal,
            RequestError::Spec(_) => ErrorCode::InvalidSpec,
            RequestError::Image(_) => ErrorCode::UnknownImage,
            RequestError::Input(_) => ErrorCode::UnknownInput,
            RequestError::Url(_) => ErrorCode::UnknownInput,
            RequestError::NotOneFile(_) => ErrorCode::InvalidSpec,
            RequestError::NotEnoughNodes { .. } => ErrorCode::NotEnoughNodes,
            RequestError::NoSuchJob(_) | RequestError::UnknownPrefix { .. } => ErrorCode::NoSuchJob,
            RequestError::AmbiguousPrefix { .. } => ErrorCode::AmbiguousJob,
            RequestError::NotRequester { .. } => ErrorCode::NotRequester,
            RequestError::Over { .. } | RequestError::PartlySeated { .. } | RequestError::Needed { .. } => {
                ErrorCode::Refused
            }
            RequestError::OtherRequest { .. } => ErrorCode::KeyReused,
            RequestError::Submit(error) => submit_code(error),
            RequestError::NotDecided { .. } => ErrorCode::NotDecided,
            RequestError::NoResult { .. }
            | RequestError::NotRevealed { .. }
            | RequestError::NotPaid { .. }
            | RequestError::NothingLeft { .. } => ErrorCode::NoResult,
            RequestError::Fetch(FetchError::Blob { source, .. }) | RequestError::Blob(source) => {
                blob_code(source)
            }
            RequestError::Fetch(_) => ErrorCode::Unavailable,
            RequestError::Unpack(_) => ErrorCode::BadRequest,
            RequestError::UnreadableRequest { .. }
            | RequestError::Db(_)
            | RequestError::Money(_)
            | RequestError::Execution(_)
            | RequestError::Backend(_) => ErrorCode::Unexpected,
        };
        let hint = error.hint();
        Self(ErrorBody { code, message: error.to_string(), hint })
    }
}

const fn submit_code(error: &SubmitError) -> ErrorCode {
    match error {
        SubmitError::Refused(EnvelopeRefusal::Moneyless) => ErrorCode::InvalidDeal,
        SubmitError::Rejected(_) | SubmitError::Refused(_) => ErrorCode::Refused,
        SubmitError::NotOrdered(_) => ErrorCode::Unexpected,
    }
}

const fn blob_code(error: &BlobError) -> ErrorCode {
    match error {
        BlobError::TooLarge { .. } => ErrorCode::TooLarge,
        BlobError::Source(_) => ErrorCode::BadRequest,
        BlobError::Mismatch { .. } | BlobError::NotFound(_) => ErrorCode::Unavailable,
        BlobError::Io { .. } | BlobError::Full { .. } | BlobError::Holders(_) => ErrorCode::Unexpected,
    }
}

impl From<JsonRejection> for Failure {
    fn from(rejection: JsonRejection) -> Self {
        let is_long = rejection.status() == StatusCode::PAYLOAD_TOO_LARGE;
        let code = if is_long { ErrorCode::TooLarge } else { ErrorCode::BadRequest };
        Self::new(code, rejection.body_text())
    }
}

impl From<QueryRejection> for Failure {
    fn from(rejection: QueryRejection) -> Self {
        Self::new(ErrorCode::BadRequest, rejection.body_text())
    }
}
