//! Static routes of routers.

use ovsdb::nb::LogicalRouter as Router;
use ovsdb::nb::{LogicalRouterStaticRoute as Route, LogicalRouterStaticRoutePolicy as Kind};
use ovsdb::{Ref, Row};

use crate::{ROUTERS, Result, Transaction, children};

/// Changes the route of a router for which a test returns true, or adds a new one.
pub fn ensure_route(
    txn: &mut Transaction,
    router: &str,
    is_meant: impl Fn(&Row<Route>) -> bool,
    change: impl FnOnce(&mut Route),
) -> Result<Ref<Route>> {
    children::ensure(
        txn,
        &*ROUTERS,
        router,
        Router::STATIC_ROUTES,
        is_meant,
        change,
    )
}

/// Like [`ensure_route`]; if the test returns true for several routes, only one is kept.
pub fn replace_route(
    txn: &mut Transaction,
    router: &str,
    is_meant: impl Fn(&Row<Route>) -> bool,
    change: impl FnOnce(&mut Route),
) -> Result<Ref<Route>> {
    let routes = children::find(txn, &*ROUTERS, router, Router::STATIC_ROUTES, &is_meant)?;
    let surplus = routes.get(1..).unwrap_or_default();
    children::delete(txn, &*ROUTERS, router, Router::STATIC_ROUTES, surplus)?;
    ensure_route(txn, router, is_meant, change)
}

/// Deletes the routes of a router for which a test returns true, if a router with this name exists.
pub fn delete_routes(
    txn: &mut Transaction,
    router: &str,
    is_meant: impl Fn(&Row<Route>) -> bool,
) -> Result {
    let routes = children::find(txn, &*ROUTERS, router, Router::STATIC_ROUTES, is_meant)?;
    children::delete(txn, &*ROUTERS, router, Router::STATIC_ROUTES, &routes)
}

/// Whether two routes match the same address of a packet: the destination, unless they say otherwise.
pub fn same_kind(a: Option<&Kind>, b: Option<&Kind>) -> bool {
    a.unwrap_or(&Kind::DstIp) == b.unwrap_or(&Kind::DstIp)
}
