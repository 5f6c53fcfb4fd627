// Package clients runs autopaho (paho.golang) against the broker that MICRO_MQ_TEST_TCP and MICRO_MQ_TEST_WS name.
//
// Over WebSocket it sends each part of a packet in a frame of its own, an empty frame for an empty part among them.
package clients

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/autopaho"
	"github.com/eclipse/paho.golang/paho"
)

const deadline = 20 * time.Second

// brokers are the URLs to connect to, by the name of their transport.
func brokers(t *testing.T) map[string]*url.URL {
	t.Helper()
	urls := map[string]string{"tcp": "mqtt://" + os.Getenv("MICRO_MQ_TEST_TCP"), "websocket": os.Getenv("MICRO_MQ_TEST_WS")}
	brokers := map[string]*url.URL{}
	for transport, text := range urls {
		broker, err := url.Parse(text)
		if err != nil || broker.Host == "" {
			t.Fatalf("MICRO_MQ_TEST_TCP=HOST:PORT and MICRO_MQ_TEST_WS=URL name no broker: %q", text)
		}
		brokers[transport] = broker
	}
	return brokers
}

// eachTransport runs a test over TCP and over WebSocket, with a topic level that no other test uses.
func eachTransport(t *testing.T, test func(ctx context.Context, t *testing.T, broker *url.URL, name string)) {
	for transport, broker := range brokers(t) {
		t.Run(transport, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(context.Background(), deadline)
			defer cancel()
			random := make([]byte, 8)
			if _, err := rand.Read(random); err != nil {
				t.Fatal(err)
			}
			test(ctx, t, broker, "t"+hex.EncodeToString(random))
		})
	}
}

type client struct {
	t        *testing.T
	manager  *autopaho.ConnectionManager
	messages chan *paho.Publish
}

// connect waits until the client is connected; it is disconnected when the test ends.
func connect(ctx context.Context, t *testing.T, broker *url.URL, identifier string) *client {
	t.Helper()
	messages := make(chan *paho.Publish, 1024)
	config := autopaho.ClientConfig{
		BrokerUrls: []*url.URL{broker},
		KeepAlive:  30,
		ClientConfig: paho.ClientConfig{
			ClientID: identifier,
			Router:   paho.NewSingleHandlerRouter(func(message *paho.Publish) { messages <- message }),
		},
	}
	manager, err := autopaho.NewConnection(context.Background(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), deadline)
		defer cancel()
		if err := manager.Disconnect(ctx); err != nil {
			t.Error("disconnect:", err)
		}
	})
	if err := manager.AwaitConnection(ctx); err != nil {
		t.Fatal("connect:", err)
	}
	return &client{t, manager, messages}
}

func (c *client) publish(ctx context.Context, topic string, qos byte, retain bool, payload string) {
	c.t.Helper()
	message := &paho.Publish{Topic: topic, QoS: qos, Retain: retain, Payload: []byte(payload)}
	if _, err := c.manager.Publish(ctx, message); err != nil {
		c.t.Fatalf("publish to %s: %v", topic, err)
	}
}

func (c *client) subscribe(ctx context.Context, filter string, qos byte) {
	c.t.Helper()
	subscribe := &paho.Subscribe{Subscriptions: []paho.SubscribeOptions{{Topic: filter, QoS: qos}}}
	if _, err := c.manager.Subscribe(ctx, subscribe); err != nil {
		c.t.Fatalf("subscribe to %s: %v", filter, err)
	}
}

func (c *client) expect(ctx context.Context, topic, payload string) *paho.Publish {
	c.t.Helper()
	select {
	case message := <-c.messages:
		if message.Topic != topic || string(message.Payload) != payload {
			c.t.Fatalf("%s with %d bytes in place of %s with %d", message.Topic, len(message.Payload), topic, len(payload))
		}
		return message
	case <-ctx.Done():
		c.t.Fatalf("no message on %s", topic)
		return nil
	}
}

func TestRetainedMessagesTogether(t *testing.T) {
	eachTransport(t, func(ctx context.Context, t *testing.T, broker *url.URL, name string) {
		publisher := connect(ctx, t, broker, name+"p")
		payloads := []string{"1", "two", strings.Repeat("3", 200), strings.Repeat("4", 2000), "5", strings.Repeat("6", 70000)}
		topic := func(index int) string { return fmt.Sprintf("%s/%d", name, index) }
		for index, payload := range payloads {
			publisher.publish(ctx, topic(index), byte(index%3), true, payload)
		}
		subscriber := connect(ctx, t, broker, name+"s")
		subscriber.subscribe(ctx, name+"/#", 2)
		for index, payload := range payloads {
			if message := subscriber.expect(ctx, topic(index), payload); !message.Retain {
				t.Errorf("%s is not retained", message.Topic)
			}
		}
		for index := range payloads {
			publisher.publish(ctx, topic(index), 1, true, "")
		}
	})
}

func TestMessagesInOrder(t *testing.T) {
	const count = 200
	eachTransport(t, func(ctx context.Context, t *testing.T, broker *url.URL, name string) {
		subscriber := connect(ctx, t, broker, name+"s")
		subscriber.subscribe(ctx, name, 2)
		publisher := connect(ctx, t, broker, name+"p")
		for qos := byte(0); qos <= 2; qos++ {
			for number := 0; number < count; number++ {
				publisher.publish(ctx, name, qos, false, fmt.Sprint(number))
			}
			for number := 0; number < count; number++ {
				subscriber.expect(ctx, name, fmt.Sprint(number))
			}
		}
	})
}

// An empty payload is an empty frame.
func TestEmptyPayload(t *testing.T) {
	eachTransport(t, func(ctx context.Context, t *testing.T, broker *url.URL, name string) {
		subscriber := connect(ctx, t, broker, name+"s")
		subscriber.subscribe(ctx, name+"/#", 2)
		publisher := connect(ctx, t, broker, name+"p")
		for qos := byte(0); qos <= 2; qos++ {
			topic := fmt.Sprintf("%s/%d", name, qos)
			publisher.publish(ctx, topic, qos, false, "")
			subscriber.expect(ctx, topic, "")
			publisher.publish(ctx, topic, qos, false, "behind it")
			subscriber.expect(ctx, topic, "behind it")
		}
	})
}
