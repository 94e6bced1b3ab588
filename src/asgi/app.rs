//! What an application is: [`App`] and [`Handler`], and closures in their place.

use std::sync::Arc;

use super::event::Event;
use super::outbox::Outbox;
use super::scope::Scope;

/// What a handler may fail with. It is logged; the peer is told 500 or 1011 and nothing more.
pub type AppError = Box<dyn std::error::Error + Send + Sync>;

/// An application: one per server, shared by all workers.
///
/// It is called once per [`Scope`], like the ASGI callable, and gives the object that lives as
/// long as the scope. State that several workers touch is a mutex, an atomic or a group: the
/// compiler insists, since `call` has `&self` only.
///
/// ```
/// use oneport::{App, AppError, Event, Handler, Outbox, Scope};
///
/// struct Greeter { greeting: String }
/// struct Greeting(String);
///
/// impl App for Greeter {
///     type Handler = Greeting;
///     fn call(&self, scope: &Scope<'_>) -> Option<Greeting> {
///         let Scope::Http(http) = scope else { return None };
///         Some(Greeting(format!("{}, {}!", self.greeting, http.path)))
///     }
/// }
///
/// impl Handler for Greeting {
///     fn receive(&mut self, event: Event<'_>, out: &mut Outbox<'_>) -> Result<(), AppError> {
///         if let Event::HttpRequest { more_body: false, .. } = event {
///             out.respond(200, &[(b"content-type", b"text/plain")], self.0.as_bytes())?;
///         }
///         Ok(())
///     }
/// }
/// ```
pub trait App: Send + Sync + 'static {
    /// What answers the events of one scope.
    type Handler: Handler;

    /// Begins a scope. `None` means "not mine": 404, also for an upgrade request; no lifespan.
    fn call(&self, scope: &Scope<'_>) -> Option<Self::Handler>;
}

/// Answers the events of one scope with events.
///
/// It lives as long as its scope and stays on one worker, so it need not be `Send`. Everything
/// it is given is borrowed for the call; what it wants to keep it copies.
pub trait Handler: 'static {
    /// Something happened. Answers go through `out`, at once or never; to answer later, keep
    /// [`Outbox::handle`].
    ///
    /// # Errors
    /// Any: if the response has not left yet the peer gets a 500, else the connection is cut; a
    /// WebSocket is closed with 1011. A panic counts as an error. The worker lives on.
    fn receive(&mut self, event: Event<'_>, out: &mut Outbox<'_>) -> Result<(), AppError>;
}

impl<H: Handler + ?Sized> Handler for Box<H> {
    fn receive(&mut self, event: Event<'_>, out: &mut Outbox<'_>) -> Result<(), AppError> {
        (**self).receive(event, out)
    }
}

impl<A: App> App for Arc<A> {
    type Handler = A::Handler;

    fn call(&self, scope: &Scope<'_>) -> Option<A::Handler> {
        (**self).call(scope)
    }
}

/// An application made of a closure; see [`app`].
#[derive(Debug, Clone)]
pub struct AppFn<F>(F);

/// Makes an application of a closure.
///
/// (A bare closure would be refused by the compiler as "not general enough": its parameter
/// needs a lifetime that only a function with this bound can give it.)
///
/// ```
/// use oneport::{app, handler, Event};
///
/// let hello = app(|_scope| {
///     Some(handler(|event, out| {
///         if let Event::HttpRequest { more_body: false, .. } = event {
///             out.respond(200, &[], b"Hello!")?;
///         }
///         Ok(())
///     }))
/// });
/// # let _ = oneport::Server::new(hello);
/// ```
pub fn app<F, H>(call: F) -> AppFn<F>
where
    F: Fn(&Scope<'_>) -> Option<H> + Send + Sync + 'static,
    H: Handler,
{
    AppFn(call)
}

impl<F, H> App for AppFn<F>
where
    F: Fn(&Scope<'_>) -> Option<H> + Send + Sync + 'static,
    H: Handler,
{
    type Handler = H;

    fn call(&self, scope: &Scope<'_>) -> Option<H> {
        (self.0)(scope)
    }
}

/// A handler made of a closure; see [`handler`].
#[derive(Debug, Clone)]
pub struct HandlerFn<F>(F);

/// Makes a handler of a closure. Different closures have different types (the compiler says
/// *type annotations needed* or *no two closures have the same type*): an application that gives
/// one of several uses [`boxed`].
pub fn handler<F>(receive: F) -> HandlerFn<F>
where
    F: FnMut(Event<'_>, &mut Outbox<'_>) -> Result<(), AppError> + 'static,
{
    HandlerFn(receive)
}

/// Makes a handler of a closure and boxes it, for applications that give one of several:
///
/// ```
/// use oneport::{Event, Handler, app, boxed};
///
/// // The type is stated once, for all arms.
/// let site = app(|scope| -> Option<Box<dyn Handler>> {
///     match scope.path() {
///         "/" => Some(boxed(|event, out| {
///             if let Event::HttpRequest { more_body: false, .. } = event {
///                 out.respond(200, &[], "home")?;
///             }
///             Ok(())
///         })),
///         "/about" => Some(boxed(|event, out| {
///             if let Event::HttpRequest { more_body: false, .. } = event {
///                 out.respond(200, &[], "about")?;
///             }
///             Ok(())
///         })),
///         _ => None,
///     }
/// });
/// # let _ = oneport::Server::new(site);
/// ```
pub fn boxed<F>(receive: F) -> Box<dyn Handler>
where
    F: FnMut(Event<'_>, &mut Outbox<'_>) -> Result<(), AppError> + 'static,
{
    Box::new(HandlerFn(receive))
}

impl<F> Handler for HandlerFn<F>
where
    F: FnMut(Event<'_>, &mut Outbox<'_>) -> Result<(), AppError> + 'static,
{
    fn receive(&mut self, event: Event<'_>, out: &mut Outbox<'_>) -> Result<(), AppError> {
        (self.0)(event, out)
    }
}
