import { expect, test } from 'vitest'
import { findDefaultRouter, routerIn } from './default-router.ts'

const HEAD = 'Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\n'

test('the default route with the best metric names the router', () => {
  const lan = 'eth0\t0001A8C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\n'
  const slow = 'wlan0\t00000000\t0102A8C0\t0003\t0\t0\t600\t00000000\n'
  const fast = 'eth0\t00000000\t0101A8C0\t0003\t0\t0\t100\t00000000\n'
  expect(routerIn(HEAD + lan + slow + fast)).toBe('192.168.1.1')
  expect(routerIn(HEAD + slow)).toBe('192.168.2.1')
})

test('without a default route, or with one that goes to no router, there is none', async () => {
  const tunnel = 'tun0\t00000000\t00000000\t0001\t0\t0\t0\t00000000\n'
  expect([routerIn(HEAD), routerIn(''), routerIn(HEAD + tunnel)]).toEqual([undefined, undefined, undefined])
  expect(await findDefaultRouter('/nowhere/route')).toBeUndefined()
})
