//! Decides which instances there are, and keeps them until the end; never which of them takes a turn.

use std::collections::HashMap;
use std::io;
use std::sync::atomic::AtomicU32;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::future::join_all;
use protocol::{Failure, FailureKind};
use tokio::sync::mpsc;

use super::instance::{Instance, ORDERS_MAX, Order, Shared};
use super::launch::Spawner;
use super::life;
use super::ring::Ring;
use super::settings::{Account, ProcessSettings};
use crate::http::{Answer, Call, Client};

/// All instances of all pools.
pub struct Fleet {
    instances: Vec<Instance>,
    by_name: HashMap<Arc<str>, Seat>,
    waiting: Mutex<Option<Vec<Unborn>>>,
    spawner: Arc<Spawner>,
}

/// An instance that nobody keeps yet, and what it is told.
type Unborn = (Instance, mpsc::Receiver<Order>);

/// An instance and its like.
struct Seat {
    instance: Instance,
    siblings: Arc<[Instance]>,
}

/// Why there is no fleet.
#[derive(Debug, thiserror::Error)]
pub enum FleetError {
    /// Nothing can be started.
    #[error("local processes cannot be started: {0}")]
    Thread(#[from] io::Error),
    /// Two instances have one name.
    #[error("two instances are named {0}")]
    SameName(String),
}

impl Fleet {
    /// A fleet of these pools, none of it started. Inside of a runtime only.
    pub fn new(pools: Vec<ProcessSettings>, http: &Client) -> Result<Self, FleetError> {
        let mut fleet = Self {
            instances: Vec::new(),
            by_name: HashMap::new(),
            waiting: Mutex::new(None),
            spawner: Arc::new(Spawner::start()?),
        };
        let mut waiting = Vec::new();
        for pool in pools {
            let pool = Arc::new(pool);
            let made: Vec<_> = pool
                .instances
                .iter()
                .map(|own| {
                    let (orders, incoming) = mpsc::channel(ORDERS_MAX);
                    let ring = Ring::default();
                    ring.hide(own.account.iter().flat_map(Account::secrets));
                    let shared = Shared {
                        name: own.name.as_str().into(),
                        settings: Arc::clone(&pool),
                        work_dir: own.work_dir.clone(),
                        fixed_ports: own.ports,
                        account: Mutex::new(own.account.clone()),
                        strangers: AtomicU32::new(0),
                        attempts: Mutex::default(),
                        picture: Shared::first_picture(&pool),
                        orders,
                        ring,
                        in_flight: Arc::default(),
                        http: http.clone(),
                    };
                    (Instance { shared: Arc::new(shared) }, incoming)
                })
                .collect();
            let siblings: Arc<[Instance]> = made.iter().map(|(instance, _)| instance.clone()).collect();
            for (instance, incoming) in made {
                let seat = Seat { instance: instance.clone(), siblings: Arc::clone(&siblings) };
                if fleet.by_name.insert(Arc::clone(instance.name()), seat).is_some() {
                    return Err(FleetError::SameName(instance.name().to_string()));
                }
                fleet.instances.push(instance.clone());
                waiting.push((instance, incoming));
            }
        }
        fleet.waiting = Mutex::new(Some(waiting));
        Ok(fleet)
    }

    /// Keeps all instances, until they were [stopped](Self::stop). Does so once.
    pub async fn keep(&self) {
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner).take();
        let lives = waiting.into_iter().flatten();
        join_all(lives.map(|(instance, orders)| life::keep(instance.shared, orders, &self.spawner))).await;
    }

    /// Ends all of them; [`Self::keep`] is over when they have.
    pub fn stop(&self) {
        self.instances.iter().for_each(Instance::stop);
    }

    /// All instances, in their order.
    pub fn instances(&self) -> &[Instance] {
        &self.instances
    }

    /// The instance of that name.
    pub fn instance(&self, name: &str) -> Option<&Instance> {
        self.by_name.get(name).map(|seat| &seat.instance)
    }

    /// All instances of the pool that one belongs to.
    pub fn siblings(&self, name: &str) -> &[Instance] {
        self.by_name.get(name).map_or(&[], |seat| &seat.siblings)
    }

    /// Carries a call to the instance of that name.
    pub(crate) async fn call(&self, name: &str, call: Call<'_>) -> Result<Answer, Failure> {
        match self.by_name.get(name) {
            Some(seat) => seat.instance.call(call, &seat.siblings).await,
            None => {
                let detail = "no such instance runs; local processes change with a restart only";
                Err(Failure::new(FailureKind::NotReady, detail))
            }
        }
    }
}
