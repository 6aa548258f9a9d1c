package walinktest

import (
	"cmp"
	"slices"
	"time"

	waBinary "go.mau.fi/whatsmeow/binary"
	"go.mau.fi/whatsmeow/types"
)

// maxDevice is the highest device number. The byte in an address could hold 255, but WhatsApp's
// device numbers have two digits.
const maxDevice = 99

// Device is a companion that is linked to a phone's account.
type Device struct {
	// JID and LID are its addresses, with the device number.
	JID types.JID `json:"jid"`
	LID types.JID `json:"lid"`
	// OS is the device's name for itself, which a phone lists. Platform is the name in the enum, such as "CHROME".
	OS       string `json:"os"`
	Platform string `json:"platform"`
	// LinkedAt is when the server verified its signature.
	LinkedAt time.Time `json:"linkedAt"`
	// Online is whether it is logged in now. Logins is how often it has logged in.
	Online bool `json:"online"`
	Logins int  `json:"logins"`
	// PreKeys is the number of its one-time keys that the server has not handed out.
	PreKeys int `json:"preKeys"`
	// Presence is the last one that it has sent since its latest login (Client.SendPresence of whatsmeow).
	Presence types.Presence `json:"presence,omitempty"`
}

// deviceID names a device as a login does (getLoginPayload of whatsmeow).
type deviceID struct {
	number string
	device uint16
}

// device is a linked device. The server's mu guards a device in Server.devices.
type device struct {
	phone        *Phone
	jid, lid     types.JID
	noise        [32]byte
	identity     [32]byte
	keyIndex     uint32
	os, platform string
	linkedAt     time.Time
	conn         *conn // nil while offline
	logins       int
	keys         preKeys
	proof        []byte // its identity as account and device have signed it, for others
	active       bool   // whether it wants nodes at once
	greeted      bool   // whether its first minute has begun
	presence     types.Presence
	waiting      []waBinary.Node // what it has not acknowledged, in order
}

// newDevice returns the device that a companion becomes, or nil if all device numbers
// are taken. The caller holds mu.
func (s *Server) newDevice(phone *Phone, p *companion) *device {
	phone.lastDevice = phone.lastDevice%maxDevice + 1
	for tried := 1; s.devices[deviceID{phone.number, phone.lastDevice}] != nil; tried++ {
		if tried == maxDevice {
			return nil
		}
		phone.lastDevice = phone.lastDevice%maxDevice + 1
	}
	phone.lastKeyIndex++
	jid, lid := phone.jid, phone.lid
	jid.Device, lid.Device = phone.lastDevice, phone.lastDevice
	return &device{
		phone:    phone,
		jid:      jid,
		lid:      lid,
		noise:    p.noise,
		identity: p.identity,
		keyIndex: phone.lastKeyIndex,
		keys:     p.keys,
		os:       p.props.GetOs(),
		platform: p.props.GetPlatformType().String(),
	}
}

func (d *device) id() deviceID { return deviceID{d.jid.User, d.jid.Device} }

func (d *device) snapshot() Device {
	return Device{
		JID:      d.jid,
		LID:      d.lid,
		OS:       d.os,
		Platform: d.platform,
		LinkedAt: d.linkedAt,
		Online:   d.conn != nil,
		Logins:   d.logins,
		PreKeys:  d.keys.count(),
		Presence: d.presence,
	}
}

// Devices returns the linked devices of all phones, sorted by address.
func (s *Server) Devices() []Device { return s.linked("") }

// linked returns the devices of a number, or all devices if number is empty.
func (s *Server) linked(number string) []Device {
	s.mu.Lock()
	defer s.mu.Unlock()
	var devices []Device
	for id, device := range s.devices {
		if number == "" || id.number == number {
			devices = append(devices, device.snapshot())
		}
	}
	slices.SortFunc(devices, func(a, b Device) int {
		return cmp.Or(cmp.Compare(a.JID.User, b.JID.User), cmp.Compare(a.JID.Device, b.JID.Device))
	})
	return devices
}

// SetDeviceLimit allows each account n linked devices. With zero, the default, only
// the 99 device numbers limit an account. WhatsApp's own limit is 4.
func (s *Server) SetDeviceLimit(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.limits.devices = n
}

// full reports whether an account has as many devices as it may. The caller holds mu.
func (s *Server) full(number string) bool {
	return s.limits.devices > 0 && len(s.endpoints(s.phones[number])) > s.limits.devices // a phone is an endpoint, too
}

// remove unlinks a device and ends its connection. It returns false if the device was
// not linked.
func (s *Server) remove(id deviceID) bool {
	s.mu.Lock()
	device := s.devices[id]
	var live *conn
	if device != nil {
		live = device.conn
		delete(s.devices, id)
	}
	s.mu.Unlock()
	if live != nil {
		live.perform(StageRemoval, live.fail, func(Action) {
			live.endWith(streamError(401, "device_removed")) // handleStreamError of whatsmeow
		})
	}
	return device != nil
}
