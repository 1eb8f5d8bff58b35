//! Runs the commands of a script on one member.
//!
//! | command | does |
//! |---|---|
//! | `at MS` | sets the time of the following entries |
//! | `open NAME` `close NAME` `expire NAME` | opens or ends a session |
//! | `call SPACE STEP...` | calls outside of a session |
//! | `request NAME ID SPACE STEP... [wait_ms= below= parked= after=]` | calls in a session |
//! | `cancel NAME ID` | gives a request up |
//! | `tick` | fires timers |
//! | `install MODULE`, `create SPACE`, `upgrade SPACE VERSION`, `delete SPACE` | directory |
//! | `bind HANDLER SOURCE FILTER [skip]` | bindings |
//! | `compact SPACE REVISION` | forgets events |
//! | `run SPACE NUMBER`, `drop SPACE NUMBER` | settles a hook that is owed |
//! | `head`, `rows SPACE`, `events SPACE`, `owed SPACE` | show what is stored |
use std::collections::BTreeMap;
use std::error::Error;

use goldenscript::{Argument, Command as ScriptCommand, Context};
use synod_abi::{
    ClusterId, OperationId, RecipeName, RequestId, Revision, SessionId, SpaceId, SpaceName, Time,
    TopicFilter, encode,
};
use synod_machine::{
    Action, Applied, Binding, Call, Caller, Command, EndCause, Entry, Environment, Machine, MemoryState,
    OnFailure, OpenSession, Origin, Reply, Request, SessionCall, Settling, TtlPolicy, directory, verify,
};

use crate::support::recipe;
use crate::support::vm::ScriptVm;

mod show;
mod steps;

const ENVIRONMENT: Environment = Environment { semantics: Environment::SEMANTICS, engine: [7; 32] };

/// One member, and the names that the script gave.
pub(crate) struct Runner {
    machine: Machine,
    state: MemoryState,
    vm: ScriptVm,
    index: u64,
    now: u64,
    sessions: BTreeMap<String, SessionId>,
    next_timer: Option<Time>,
}

/// The module that scripts call by this name.
fn module(name: &str) -> Result<&'static [u8], Box<dyn Error>> {
    Ok(match name {
        "script@1" => recipe::SCRIPT_1,
        "script@1-docs" => recipe::SCRIPT_1_DOCS,
        "script@1-breaking" => recipe::SCRIPT_1_BREAKING,
        "script@2" => recipe::SCRIPT_2,
        "script@2-docs" => recipe::SCRIPT_2_DOCS,
        "script@3" => recipe::SCRIPT_3,
        "other@1" => recipe::OTHER_1,
        "other@2" => recipe::OTHER_2,
        other => return Err(format!("there is no module {other}").into()),
    })
}

impl Runner {
    /// Formed, with the recipe `script@1` and its space `a`, which has id 1.
    pub(crate) fn formed() -> Self {
        let state = MemoryState::default();
        let mut runner = Self {
            machine: Machine::load(&state, &[ENVIRONMENT]).expect("no rows are no damaged rows"),
            state,
            vm: ScriptVm::default(),
            index: 0,
            now: 0,
            sessions: BTreeMap::new(),
            next_timer: None,
        };
        runner.apply(None, Action::FormCluster { cluster: ClusterId([9; 16]) });
        runner.apply(None, Action::SetEnvironment { environment: ENVIRONMENT });
        runner.apply(None, Action::InstallRecipe { module: recipe::SCRIPT_1.into(), replace: false });
        runner.apply(None, create("a", "script").expect("both names are valid"));
        runner
    }

    /// Applies an entry of one command, and checks the digest of its rows.
    fn apply(&mut self, session: Option<SessionId>, action: Action) -> Applied {
        self.index += 1;
        self.vm.invoked.clear();
        self.vm.fuelled.clear();
        self.vm.discarded.clear();
        let caller = Caller { session, ..Caller::default() };
        let command = Command { origin: Origin::default(), caller, action };
        let entry = encode(&Entry { stamp: Time(self.now), commands: vec![command] });
        let applied = self.machine.apply(self.state.clone(), &mut self.vm, self.index, &entry);
        let applied = applied.expect("the machine goes on");
        self.state.commit(&applied.writes);
        verify(&self.state).expect("the rows have their digest");
        applied
    }

    fn tell(&mut self, session: Option<SessionId>, action: Action) -> String {
        let applied = self.apply(session, action);
        self.show(&applied)
    }

    fn space(&self, name: &str) -> Result<SpaceId, Box<dyn Error>> {
        let record = directory::space(&self.state, &SpaceName::new(name)?)?;
        Ok(record.ok_or("there is no such space")?.id)
    }

    fn session(&self, name: &str) -> Result<SessionId, Box<dyn Error>> {
        Ok(*self.sessions.get(name).ok_or("there is no such session")?)
    }

    fn open(&mut self, name: &str) -> String {
        let first = name.as_bytes()[0];
        let action = Action::OpenSession(OpenSession {
            nonce: [first; 16],
            secret_hash: [first; 32],
            ttl_ms: 0,
            ttl_policy: TtlPolicy::Exact,
            label: name.to_owned(),
        });
        let applied = self.apply(None, action);
        if let Ok(Reply::Session { session, .. }) = applied.outcomes[0].outcome.result {
            self.sessions.insert(name.to_owned(), session);
        }
        self.show(&applied)
    }

    fn call(&self, space: &str, args: &[Argument]) -> Result<Call, Box<dyn Error>> {
        let args = encode(&steps::parse(args)?).into();
        Ok(Call { space: self.space(space)?, operation: OperationId::of("run"), args })
    }

    /// `request NAME ID SPACE STEP...`
    fn request(&mut self, args: &[Argument]) -> Result<String, Box<dyn Error>> {
        let [name, id, space, rest @ ..] = args else { return Err("a session, an id, a space".into()) };
        let session = self.session(text(name)?)?;
        let id = RequestId(text(id)?.parse()?);
        let mut request = Request { id, ..Request::default() };
        let mut steps = Vec::new();
        for arg in rest {
            match arg {
                Argument::KeyValue(key, value) if key == "wait_ms" => request.wait_ms = Some(value.parse()?),
                Argument::KeyValue(key, value) if key == "below" => {
                    request.acknowledged_below = RequestId(value.parse()?)
                }
                Argument::KeyValue(key, value) if key == "parked" => {
                    request.acknowledged.push(RequestId(value.parse()?))
                }
                Argument::KeyValue(key, value) if key == "after" => {
                    request.after = Some(RequestId(value.parse()?))
                }
                step => steps.push(step.clone()),
            }
        }
        let call = self.call(text(space)?, &steps)?;
        Ok(self.tell(Some(session), Action::SessionCall(SessionCall { call, request })))
    }

    fn end(&mut self, name: &str, cause: EndCause) -> Result<String, Box<dyn Error>> {
        let session = self.session(name)?;
        Ok(self.tell(None, Action::EndSession { session, cause }))
    }

    /// The action of a command about recipes, spaces and bindings.
    fn administer(&self, name: &str, words: &[&str]) -> Result<Action, Box<dyn Error>> {
        Ok(match (name, words) {
            ("install", [name, rest @ ..]) => {
                Action::InstallRecipe { module: module(name)?.into(), replace: rest == ["replace"] }
            }
            ("create", [space]) => create(space, "script")?,
            ("create", [space, recipe]) => create(space, recipe)?,
            ("upgrade", [space, to]) => {
                Action::UpgradeSpace { name: SpaceName::new(space)?, to: to.parse()? }
            }
            ("delete", [space]) => Action::DeleteSpace { name: SpaceName::new(space)? },
            ("bind", [handler, source, filter, rest @ ..]) => {
                let binding = Binding {
                    handler: SpaceName::new(handler)?,
                    source: SpaceName::new(source)?,
                    filter: TopicFilter::parse(filter),
                };
                let on_failure = if rest == ["skip"] { OnFailure::Skip } else { OnFailure::Reject };
                Action::BindSpace { binding, on_failure }
            }
            ("run", [space, number]) => Action::SettleHook {
                name: SpaceName::new(space)?,
                number: number.parse()?,
                how: Settling::Run,
            },
            ("drop", [space, number]) => Action::SettleHook {
                name: SpaceName::new(space)?,
                number: number.parse()?,
                how: Settling::Drop,
            },
            ("compact", [space, through]) => {
                Action::CompactEvents { space: self.space(space)?, through: Revision(through.parse()?) }
            }
            _ => return Err("unknown command".into()),
        })
    }
}

fn create(space: &str, recipe: &str) -> Result<Action, Box<dyn Error>> {
    let name = SpaceName::new(space)?;
    Ok(Action::CreateSpace { name, recipe: RecipeName::new(recipe)?, version: None })
}

fn text(arg: &Argument) -> Result<&str, Box<dyn Error>> {
    match arg {
        Argument::Positional(text) => Ok(text),
        other => Err(format!("unexpected {other}").into()),
    }
}

impl goldenscript::Runner for Runner {
    type Command = ScriptCommand;

    fn run(&mut self, command: &ScriptCommand, _context: &Context) -> Result<String, Box<dyn Error>> {
        let args = command.args.as_slice();
        let name = command.name.as_str();
        match (name, args) {
            ("request", _) => return self.request(args),
            ("call", [space, steps @ ..]) => {
                let call = self.call(text(space)?, steps)?;
                return Ok(self.tell(None, Action::Call(call)));
            }
            _ => {}
        }
        let words = args.iter().map(text).collect::<Result<Vec<&str>, _>>()?;
        Ok(match (name, words.as_slice()) {
            ("at", [ms]) => {
                self.now = ms.parse()?;
                String::new()
            }
            ("open", [name]) => self.open(name),
            ("close", [name]) => self.end(name, EndCause::Closed)?,
            ("expire", [name]) => self.end(name, EndCause::Expired)?,
            ("cancel", [name, id]) => {
                let session = self.session(name)?;
                let request = RequestId(id.parse()?);
                self.tell(Some(session), Action::CancelRequest { request })
            }
            ("tick", []) => self.tell(None, Action::Tick),
            ("head", []) => self.head(),
            ("rows", [space]) => self.rows(space)?,
            ("events", [space]) => self.events(space)?,
            ("owed", [space]) => self.owed(space)?,
            (name, words) => {
                let action = self.administer(name, words)?;
                self.tell(None, action)
            }
        })
    }
}
