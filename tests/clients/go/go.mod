module micro-mq-client-tests

go 1.19

require github.com/eclipse/paho.golang v0.12.0

require (
	github.com/gorilla/websocket v1.5.0 // indirect
	golang.org/x/net v0.17.0 // indirect
	golang.org/x/sync v0.4.0 // indirect
)
