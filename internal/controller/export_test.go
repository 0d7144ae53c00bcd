package controller

// LiveGateways is for tests.
var LiveGateways = liveGateways
