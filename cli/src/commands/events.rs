//! `leeward events`.

use leeward_model::WallTime;
use leeward_proto::control::EventsRequest;
use serde_json::json;

use crate::{
    args::{EventsArguments, Output},
    client,
    exit::Exit,
    out,
    settings::Settings,
};

/// Carries out the verb.
///
/// # Errors
///
/// Where the controller does not answer.
pub(crate) async fn run(arguments: &EventsArguments, settings: &Settings) -> anyhow::Result<Exit> {
    let mut controller = client::controller(settings).await?;
    let request = EventsRequest { after: arguments.after, follow: arguments.follow };
    let mut events = controller.events(request).await?.into_inner();
    while let Some(event) = events.message().await? {
        match arguments.output {
            Output::Table => println!(
                "{:>6}  {}  epoch {}  {}  {}  {}",
                event.number,
                WallTime::from_millis(event.at_millis),
                event.epoch,
                event.source,
                event.code,
                event.text
            ),
            Output::Json => println!(
                "{}",
                json!({
                    "number": event.number,
                    "atMillis": event.at_millis,
                    "source": event.source,
                    "code": event.code,
                    "text": event.text,
                    "epoch": event.epoch,
                    "fields": event.fields,
                })
            ),
        }
        if out::is_closed() {
            break;
        }
    }
    Ok(Exit::Done)
}
