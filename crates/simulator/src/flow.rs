//! Finds how much can flow through a network at most (Dinic's algorithm); knows nothing of requests.

use std::collections::VecDeque;

/// A network of nodes and directed edges with capacities.
#[derive(Debug, Default)]
pub(crate) struct Network {
    /// For each node, the edges that leave it.
    leaving: Vec<Vec<usize>>,
    /// Each edge is followed by its opposite.
    edges: Vec<Edge>,
}

#[derive(Debug, Clone, Copy)]
struct Edge {
    to: usize,
    room: u64,
}

impl Network {
    /// One more node.
    pub(crate) fn node(&mut self) -> usize {
        self.leaving.push(Vec::new());
        self.leaving.len() - 1
    }

    /// One more edge.
    pub(crate) fn edge(&mut self, from: usize, to: usize, room: u64) {
        self.leaving[from].push(self.edges.len());
        self.edges.push(Edge { to, room });
        self.leaving[to].push(self.edges.len());
        self.edges.push(Edge { to: from, room: 0 });
    }

    /// How much flows from `source` to `sink` at most. The flow stays in the network.
    pub(crate) fn most(&mut self, source: usize, sink: usize) -> u64 {
        let mut total = 0;
        while let Some(levels) = self.levels(source, sink) {
            let mut next = vec![0; self.leaving.len()];
            while let Some(pushed) = self.push(source, sink, &levels, &mut next) {
                total += pushed;
            }
        }
        total
    }

    /// How many edges with room lie between the source and each node; none when the sink is out of reach.
    fn levels(&self, source: usize, sink: usize) -> Option<Vec<u32>> {
        let mut levels = vec![u32::MAX; self.leaving.len()];
        levels[source] = 0;
        let mut reached = VecDeque::from([source]);
        while let Some(node) = reached.pop_front() {
            for edge in self.leaving[node].iter().map(|index| self.edges[*index]) {
                if edge.room > 0 && levels[edge.to] == u32::MAX {
                    levels[edge.to] = levels[node] + 1;
                    reached.push_back(edge.to);
                }
            }
        }
        (levels[sink] != u32::MAX).then_some(levels)
    }

    /// Sends as much as fits along one shortest way; none when there is no such way left. `next` remembers
    /// for each node which of its edges are not yet known to lead nowhere.
    fn push(&mut self, source: usize, sink: usize, levels: &[u32], next: &mut [usize]) -> Option<u64> {
        let mut way: Vec<usize> = Vec::new();
        let mut node = source;
        while node != sink {
            let onward = self.leaving[node][next[node]..].iter().position(|index| {
                let edge = self.edges[*index];
                edge.room > 0 && levels[edge.to] == levels[node] + 1
            });
            match onward {
                Some(skipped) => {
                    next[node] += skipped;
                    let index = self.leaving[node][next[node]];
                    way.push(index);
                    node = self.edges[index].to;
                }
                None => {
                    let back = way.pop()?;
                    next[node] = self.leaving[node].len();
                    node = self.edges[back ^ 1].to;
                    next[node] += 1;
                }
            }
        }
        let room = way.iter().map(|index| self.edges[*index].room).min()?;
        for index in way {
            self.edges[index].room -= room;
            self.edges[index ^ 1].room += room;
        }
        Some(room)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flow_is_as_large_as_the_narrowest_cut() {
        let check = |edges: &[(usize, usize, u64)], expected: u64| {
            let mut network = Network::default();
            for _ in 0..6 {
                network.node();
            }
            for (from, to, room) in edges {
                network.edge(*from, *to, *room);
            }
            assert_eq!(network.most(0, 5), expected, "{edges:?}");
        };
        check(&[], 0);
        check(&[(0, 5, 7)], 7);
        check(&[(0, 1, 3), (1, 5, 2), (0, 2, 2), (2, 5, 9)], 4);
        // The way over 1 and 4 must be given back in part for the best flow.
        check(&[(0, 1, 1), (0, 2, 1), (1, 4, 1), (1, 3, 1), (2, 4, 1), (3, 5, 1), (4, 5, 1)], 2);
        check(
            &[
                (0, 1, 16),
                (0, 2, 13),
                (1, 2, 10),
                (2, 1, 4),
                (1, 3, 12),
                (3, 2, 9),
                (2, 4, 14),
                (4, 3, 7),
                (3, 5, 20),
                (4, 5, 4),
            ],
            23,
        );
    }
}
