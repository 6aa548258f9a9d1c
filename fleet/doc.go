// Package fleet keeps many sessions of one Store linked and connected, in one process or
// in several. It is what a service has around its Linkers: it resumes the sessions at the
// start, links a new one when a person asks for it, shares the sessions with the other
// processes on the Store, and reports what happens to each of them.
//
//	f, err := fleet.New(st, fleet.Settings{
//		Defaults: walink.Settings{DeviceName: "Support desk"},
//		Holder:   "10.0.0.7:8080", // where the other processes reach this one
//		OnClient: func(session string, client *whatsmeow.Client) { client.AddEventHandler(…) },
//	})
//	err = f.Run(ctx) // until ctx ends: resumes the sessions, takes over those of processes that have died
//
// In the meantime, for a person with the phone in hand:
//
//	err := f.Link(ctx, "acme", walink.Settings{Phone: phone})
//	for u := range f.Watch(ctx, "acme") {
//		… // u.Status has the code on the screen now
//	}
//
// The example Replicas is a service of several processes in 60 lines, and examples/service in
// this repository a larger one.
//
// # Rules
//
// The rules hold for every Fleet. The tests of this package have their numbers.
//
//  1. Run resumes every stored session, unless it was stopped. It opens [Settings.Opening]
//     sessions at once, and the others after them. A session that WhatsApp refuses is tried
//     again after a minute, and each time after twice as long, up to an hour; one that the
//     network or the Store keeps away, after a minute at most. Link ends the pause.
//  2. Nobody is asked for a code unless Link was called, and then until the session is
//     linked, the Timeout of the Link has passed, or Stop or Unlink is called. If the
//     device is removed on the phone, the watchers get a [walink.Failed] with
//     [walink.ErrLoggedOut], the session is forgotten with its settings and its metadata,
//     and nothing follows.
//  3. Link may be repeated. On a linked session it changes nothing but the metadata, if the
//     call has WithMetadata. While a Link with the same settings runs, another Link joins it
//     and shows the same code. With other settings, such as another phone, the running Link
//     ends and a new one begins.
//  4. The settings and the metadata of a Link are kept with the session, in a Store with a
//     [store.Registry], so that a restart and other processes have them.
//  5. Several processes on one Store share the sessions evenly, by number, also after one has
//     joined or ended. No session is connected twice, and none is forgotten. Within 12
//     seconds the others have the sessions of a process that has died. A session that is
//     being linked, or was linked less than two minutes ago, stays where it is. A session of
//     another process shows [walink.StateStandby] with its holder; calls for it return a
//     [*store.BusyError].
//  6. A session that was unlinked is not linked again, by no process. Close is no failure:
//     the channels of the watchers close, no [walink.Failed] comes, and other processes
//     have the sessions within 2 seconds.
//  7. Client.Logout and Client.Disconnect of the program itself are noticed: the first ends
//     the session as in rule 2, and after the second the session is connected again. No
//     session logs in more than 60 times in 15 minutes; it waits until it may.
//  8. A session costs one goroutine next to those of whatsmeow, and a Fleet one small
//     write to the Store every 1.25 seconds, however many sessions it has.
//
// Link, Stop, Unlink and the rest work without Run, and so does Watch for the sessions of this
// process. The resumption, the sharing, what Watch says of other processes, and another try
// after a failure of the Store need Run.
//
// Rules 5 and 6 need a Store with a [store.Leaser]. Every Store of this module has one, and
// a Registry.
//
// # Several processes
//
// Give each process a Holder that the others can use, and send a request to the process that
// has its session:
//
//	if busy, ok := errors.AsType[*store.BusyError](err); ok {
//		… // busy.Lease.Holder had it at the time of the call
//	}
//
// After a process has died, its name stays in the errors until others have its sessions.
//
// # The end
//
// Stop the HTTP server and whatever else calls the Fleet, then the Fleet, then close the
// Store. A *walink.Error and the errors of this package have a method Remedy() string, which
// says what to do.
package fleet
