export { freePorts } from '../src/lab/free-ports.ts'
