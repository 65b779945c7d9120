package notify

import (
	"crypto/sha256"
	"fmt"
	"strconv"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"firebreak/record"
)

const (
	profiles      = "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition/"
	statusProfile = profiles + "backport-subscription-status-r4"
	noticeProfile = profiles + "backport-subscription-notification-r4"
)

type object = map[string]any

// Notification is what a subscriber is told: a Bundle of type history, whose first
// entry says what this is about; then, of full-resource content, the resources.
//
// Source: Subscriptions R5 Backport 1.1.0, R4 Topic-Based Subscription Notification Bundle.
func Notification(base string, p record.Parcel, at time.Time) ([]byte, error) {
	address := "Subscription/" + p.ID
	entries := []object{{
		"fullUrl": "urn:uuid:" + name(p, at), "resource": Status(base, p),
		"request": object{"method": "GET", "url": address + "/$status"}, "response": object{"status": "200"},
	}}
	have := map[string]bool{}
	for _, e := range p.Events {
		ref := e.Ref.String()
		if p.Content != "full-resource" || e.Resource.IsZero() || have[ref] {
			continue
		}
		have[ref] = true
		entries = append(entries, object{
			"fullUrl": base + "/" + ref, "resource": jsontext.Value(e.Resource.JSON()),
			"request": object{"method": "PUT", "url": ref}, "response": object{"status": "200"},
		})
	}
	return json.Marshal(object{
		"resourceType": "Bundle", "meta": object{"profile": []string{noticeProfile}}, "type": "history", "timestamp": instant(at), "entry": entries,
	}, json.Deterministic(true))
}

// Status is how a subscription stands, and what happened to it.
//
// Source: Subscriptions R5 Backport 1.1.0, R4 Backported R5 SubscriptionStatus.
func Status(base string, p record.Parcel) object {
	status, events := p.Status, p.Subscription.Events
	if p.Kind == "event-notification" {
		status = record.Active
		if n := len(p.Events); n > 0 {
			events = p.Events[n-1].N
		}
	}
	parameters := []object{
		{"name": "subscription", "valueReference": object{"reference": base + "/Subscription/" + p.ID}},
	}
	if p.Topic != "" && p.Content != "empty" {
		parameters = append(parameters, object{"name": "topic", "valueCanonical": p.Topic})
	}
	parameters = append(parameters, object{"name": "status", "valueCode": status}, object{"name": "type", "valueCode": p.Kind},
		object{"name": "events-since-subscription-start", "valueString": strconv.FormatInt(events, 10)})
	for _, e := range p.Events {
		parts := []object{{"name": "event-number", "valueString": strconv.FormatInt(e.N, 10)}, {"name": "timestamp", "valueInstant": instant(e.At)}}
		if e.Ref.ID != "" && (p.Content == "id-only" || p.Content == "full-resource") {
			parts = append(parts, object{"name": "focus", "valueReference": object{"reference": base + "/" + e.Ref.String()}})
		}
		parameters = append(parameters, object{"name": "notification-event", "part": parts})
	}
	if p.Status == record.Failing && p.Reason != "" {
		parameters = append(parameters, object{"name": "error", "valueCodeableConcept": object{"text": p.Reason}})
	}
	return object{"resourceType": "Parameters", "meta": object{"profile": []string{statusProfile}}, "parameter": parameters}
}

// name is a UUID, the same for the same notice.
func name(p record.Parcel, at time.Time) string {
	first := int64(0)
	if len(p.Events) > 0 {
		first = p.Events[0].N
	}
	b := sha256.Sum256(fmt.Appendf(nil, "notice %s %s %d %d", p.ID, p.Kind, first, at.UnixMicro()))
	b[6], b[8] = b[6]&0x0f|0x80, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:16])
}

func instant(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z07:00") }
