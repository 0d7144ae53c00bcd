package main

import (
	"context"
	"errors"
	"slices"
	"time"

	channelclient "agentpassport.dev/operator/internal/channel/client"
	"agentpassport.dev/operator/internal/channel/wire"
	"agentpassport.dev/operator/internal/token"
)

const (
	// reportEvery is how often the manager is told what became of the credentials, beside when that changes: one
	// that has begun to lead does not know.
	reportEvery = 30 * time.Second
	// reportAgain is how soon that is tried again.
	reportAgain = 2 * time.Second
)

// reportCredentials tells the manager which credentials this gateway can read, until the context ends.
func (g *gateway) reportCredentials(ctx context.Context) {
	log, away := g.log.WithName("credentials"), false
	for {
		next := reportEvery
		err := g.tellCredentials(ctx)
		switch {
		case err != nil && ctx.Err() == nil:
			if !away {
				log.Info("the manager does not take what became of credentials; it is told again until it does", "error", err.Error())
			}
			away, next = true, reportAgain
		case away:
			log.Info("the manager takes what became of credentials again")
			away = false
		}
		timer := g.local.NewTimer(next)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C():
		case <-g.credentials:
			timer.Stop()
		}
	}
}

func (g *gateway) tellCredentials(ctx context.Context) error {
	states := g.view.Credentials()
	connections := make([]wire.Connection, 0, len(states))
	for _, known := range states {
		connections = append(connections, wire.Connection{
			Gateway: g.name, Namespace: known.Namespace, Name: known.Name, UID: string(known.UID), Generation: known.Generation,
			Reason: string(known.Reason),
		})
	}
	for batch := range slices.Chunk(connections, wire.MaxItems) {
		if err := g.channel.Connections(ctx, batch); err != nil {
			return err
		}
	}
	return nil
}

// statusLists are the manager's.
type statusLists struct{ manager *channelclient.Client }

// List implements token.StatusLists.
func (s statusLists) List(ctx context.Context, epoch, list int64) (string, error) {
	jwt, err := s.manager.StatusList(ctx, epoch, list)
	if errors.Is(err, channelclient.ErrNotFound) {
		return "", token.ErrNoStatusList
	}
	return jwt, err
}
