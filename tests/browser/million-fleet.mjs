// SPDX-License-Identifier: BSD-3-Clause
// A million phones, ready within 20 s, that notice a dead proxy within 24 s: 50,000 a second switch.
export const MILLION = 1000000;

export const millionOf = () => `fleet: million
phones: ${MILLION}
user: "2{n:07}"
password: "pw-{user}"
domain: herd.example.net
link: memory
proxies: { primary: "192.0.2.1:5060", redundant: "192.0.2.2:5060" }
redundancy: { mode: asymmetric, switch_delay: 5s }
keepalive: { period: 20s }
timers: { no_response: 4s }
store: none
ramp: 50k/s
`;
