package walink

// outbox is the sending side of a channel of events. Whoever owns it never
// waits for the reader: what does not fit into the channel is queued.
type outbox struct {
	events chan Event
	queue  []Event
}

// eventBuffer is how many events wait in the channel itself for a slow reader.
// A Link of ten minutes sends fewer.
const eventBuffer = 48

func newOutbox() outbox { return outbox{events: make(chan Event, eventBuffer)} }

// push sends an event, or queues it if the reader is behind.
func (o *outbox) push(event Event) {
	if len(o.queue) == 0 {
		select {
		case o.events <- event:
			return
		default:
		}
	}
	o.queue = append(o.queue, event)
}

// head returns the oldest event that waits for the reader and the channel to
// send it on; nil if there is none. After it was sent comes sent.
func (o *outbox) head() (chan<- Event, Event) {
	if len(o.queue) == 0 {
		return nil, nil
	}
	return o.events, o.queue[0]
}

func (o *outbox) sent() { o.queue = o.queue[1:] }

// close sends what is left and the last event, as slowly as they are read, and
// closes the channel.
func (o *outbox) close(last Event) {
	o.push(last)
	for _, event := range o.queue {
		o.events <- event
	}
	close(o.events)
}
