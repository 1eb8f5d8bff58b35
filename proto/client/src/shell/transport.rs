//! Calls and queries: as JSON for tools, as postcard for typed clients of recipes.
use prost::Message;
use synod_abi::{RawCall, RawError, RawQuery, RawReply, Revision, Transport};
use synod_api::v1::spaces_client::SpacesClient;
use synod_api::v1::{
    CallReply, CallRequest, Consistency, Context, QueryReply, QueryRequest, Value, value::Form,
};
use synod_api::{REPLY_BYTES, REQUEST_BYTES};

use super::attempts::Pace;
use super::client::{Answer, Client};
use super::trouble::{check_size, trouble_of};
use crate::Error;
use crate::core::Effect;
use crate::error::{json_of, postcard_of, query_error};

impl Client {
    /// Runs an operation with its arguments as a JSON object; answers with the result as JSON.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn call_json(&self, space: &str, operation: &str, args: &str) -> Result<Answer<String>, Error> {
        let args = Value { form: Some(Form::Json(args.to_owned())), signature: 0 };
        let request = CallRequest {
            space: space.to_owned(),
            operation: operation.to_owned(),
            args: Some(args),
            ..CallRequest::default()
        };
        let reply = self.call(request).await?;
        let value = json_of(reply.result)?;
        Ok(Answer::new(value, reply.header.as_ref()))
    }

    /// Runs a query with its arguments as a JSON object; answers with the result as JSON.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn query_json(
        &self,
        space: &str,
        query: &str,
        args: &str,
        consistency: Consistency,
    ) -> Result<Answer<String>, Error> {
        let args = Value { form: Some(Form::Json(args.to_owned())), signature: 0 };
        let reply = self.query(space, query, args, consistency).await?;
        let value = json_of(reply.result)?;
        Ok(Answer::new(value, reply.header.as_ref()))
    }

    /// Runs an operation on the call stream of the preferred member, or of another one if that
    /// cannot be reached; the stream's tag is set here. Once it was sent it stays with its member.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn call(&self, request: CallRequest) -> Result<CallReply, Error> {
        let request = &request;
        let reply = self
            .run(Effect::Changes, Pace::Usual, |link, timeout_ms| {
                let request = request.clone();
                async move { link.call(request, timeout_ms).await }
            })
            .await?;
        self.heard(reply.header.as_ref());
        Ok(reply)
    }

    /// Runs a query on the preferred member. It never reads an older state than this client has
    /// seen.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn query(
        &self,
        space: &str,
        query: &str,
        args: Value,
        consistency: Consistency,
    ) -> Result<QueryReply, Error> {
        self.query_in(Context::default(), space, query, args, consistency).await
    }

    /// The same in a session, or from a state of at least the context's revision.
    pub(crate) async fn query_in(
        &self,
        context: Context,
        space: &str,
        query: &str,
        args: Value,
        consistency: Consistency,
    ) -> Result<QueryReply, Error> {
        let at_least_revision = context.at_least_revision.max(self.seen_revision());
        let request = QueryRequest {
            space: space.to_owned(),
            query: query.to_owned(),
            args: Some(args),
            context: Some(Context { at_least_revision, ..context }),
            consistency: consistency as i32,
        };
        let size = request.encoded_len();
        let request = &request;
        let reply = self
            .unary(Effect::Idempotent, Pace::Usual, |channel| async move {
                check_size(size)?;
                let mut client = SpacesClient::new(channel)
                    .max_decoding_message_size(REPLY_BYTES)
                    .max_encoding_message_size(REQUEST_BYTES);
                client.query(request.clone()).await.map_err(|status| trouble_of(&status))
            })
            .await?;
        self.heard(reply.header.as_ref());
        Ok(reply)
    }
}

/// The request that a typed client's call becomes.
pub(super) fn request_of(call: RawCall) -> CallRequest {
    let RawCall { space, operation, signature, args, wait_ms } = call;
    let args = Some(Value { form: Some(Form::Postcard(args)), signature });
    CallRequest { space, operation: operation.to_owned(), args, wait_ms, ..CallRequest::default() }
}

/// The result that a typed client gets.
pub(super) fn reply_of(reply: CallReply) -> Result<RawReply, RawError> {
    let revision = Revision(reply.header.as_ref().map_or(0, |header| header.revision));
    Ok(RawReply { revision, result: postcard_of(reply.result)? })
}

/// Runs a typed client's query.
pub(super) async fn raw_query(
    client: &Client,
    context: Context,
    query: RawQuery,
) -> Result<RawReply, RawError> {
    let args = Value { form: Some(Form::Postcard(query.args)), signature: query.signature };
    let reply = client
        .query_in(context, &query.space, query.query, args, Consistency::Linearizable)
        .await
        .map_err(query_error)?;
    let revision = Revision(reply.header.as_ref().map_or(0, |header| header.revision));
    Ok(RawReply { revision, result: postcard_of(reply.result)? })
}

impl Transport for Client {
    async fn call(&self, call: RawCall) -> Result<RawReply, RawError> {
        reply_of(Self::call(self, request_of(call)).await?)
    }

    async fn query(&self, query: RawQuery) -> Result<RawReply, RawError> {
        raw_query(self, Context::default(), query).await
    }
}
