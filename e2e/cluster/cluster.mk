# The local Kubernetes cluster: see e2e/cluster/README.md. Included by the Makefile of the checkout.
# CLUSTER=current uses your own kubeconfig, kubectl and helm instead.

export CLUSTER ?= local
CLUSTER_SCRIPTS := $(patsubst %/,%,$(dir $(lastword $(MAKEFILE_LIST))))

.PHONY: cluster-up cluster-down cluster-status cluster-tools kubectl

cluster-up: ## start the local cluster (builds its tools the first time) and wait until it is ready
	@$(CLUSTER_SCRIPTS)/up.sh

cluster-down: ## end the local cluster and remove all it made
	@$(CLUSTER_SCRIPTS)/down.sh

cluster-status: ## show the cluster's parts, addresses and logs
	@$(CLUSTER_SCRIPTS)/status.sh

cluster-tools: ## build the cluster's tools into the cache, without starting it
	@$(CLUSTER_SCRIPTS)/install-packages.sh
	@$(CLUSTER_SCRIPTS)/build-tools.sh

kubectl: ## run kubectl on the cluster: make kubectl ARGS="get pods -A"
	@$(CLUSTER_SCRIPTS)/kubectl.sh $(ARGS)
